import type * as Preset from '@docusaurus/preset-classic';
import type {Config} from '@docusaurus/types';
import type {Options as AskbookOptions} from 'docusaurus-plugin-askbook';
import {themes} from 'prism-react-renderer';
import rehypeKatex from 'rehype-katex';
import remarkMath from 'remark-math';

/** Where this book can be asked. Unset, its pages have no widget: a published copy must not point to nowhere. */
const apiUrl = process.env.ASKBOOK_API_URL || undefined;

/** The languages of the pages. The browser tests add one that is written from right to left; its pages are ours, untranslated. */
const locales = (process.env.ASKBOOK_LOCALES || 'en').split(',');

const ASK = {
  type: 'html',
  position: 'right' as const,
  value: '<button type="button" class="button button--primary button--sm" aria-haspopup="dialog" data-askbook-open>Ask</button>',
};

const config: Config = {
  title: 'Askbook',
  tagline: 'Readers ask your documentation in their own words. Every answer shows the passage it stands on.',
  favicon: 'img/favicon.svg',

  url: 'https://askbook.example',
  baseUrl: '/',
  i18n: {defaultLocale: 'en', locales},

  onBrokenLinks: 'throw',
  onBrokenAnchors: 'throw',
  onDuplicateRoutes: 'throw',
  markdown: {
    mermaid: true,
    hooks: {onBrokenMarkdownLinks: 'throw', onBrokenMarkdownImages: 'throw'},
  },

  // The build on Rspack asks for this one flag of the next major version.
  future: {faster: true, v4: {removeLegacyPostBuildHeadAttribute: true}},

  presets: [
    [
      'classic',
      {
        docs: {
          routeBasePath: 'docs',
          sidebarPath: './sidebars.ts',
          remarkPlugins: [remarkMath],
          rehypePlugins: [rehypeKatex],
        },
        blog: false,
        theme: {
          // KaTeX brings its fonts along: no page asks another host for anything.
          customCss: [require.resolve('katex/dist/katex.min.css'), './src/css/custom.css'],
        },
      } satisfies Preset.Options,
    ],
  ],
  themes: ['@docusaurus/theme-mermaid'],
  plugins: [
    [
      'docusaurus-plugin-askbook',
      {
        apiUrl,
        suggestions: [
          'How do I index my own site?',
          'What does it need to run?',
          'How do I let my site call the API?',
          'What happens when the model is down?',
        ],
      } satisfies AskbookOptions,
    ],
  ],

  themeConfig: {
    colorMode: {respectPrefersColorScheme: true},
    navbar: {
      title: 'Askbook',
      logo: {alt: '', src: 'img/logo.svg'},
      items: [
        {type: 'docSidebar', sidebarId: 'docs', label: 'Documentation', position: 'left'},
        {to: '/docs/reference/configuration', label: 'Settings', position: 'left'},
        {to: '/docs/reference/http-api', label: 'HTTP API', position: 'left'},
        ...(apiUrl ? [ASK] : []),
      ],
    },
    footer: {
      style: 'light',
      copyright: 'Askbook is open source under the MIT licence.',
    },
    prism: {
      theme: themes.github,
      darkTheme: themes.vsDark,
      additionalLanguages: ['bash', 'powershell', 'nginx', 'http', 'ini', 'json'],
    },
    mermaid: {theme: {light: 'neutral', dark: 'dark'}},
  } satisfies Preset.ThemeConfig,
};

export default config;
