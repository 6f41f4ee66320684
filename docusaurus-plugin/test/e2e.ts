/** Builds the fixture with each `trailingSlash`, and holds its manifests, and what its pages load, against the build. */

import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {existsSync, readFileSync, readdirSync, rmSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {before, test} from 'node:test';

import type {Manifest, Page} from '../src/manifest';

const FIXTURE = resolve(__dirname, '../../fixture');
const LOCALES = ['en', 'fr'];
const SUGGESTIONS: Record<string, string> = {en: 'How do I fill the lamp?', fr: 'Comment remplir la lampe ?'};

/** Every page of the English build without the setting, in order: route, source, and the flags that are true. */
const ENGLISH = `
/lamp/club/welcome             club/welcome.md
/lamp/club/members             club/members.md                         noIndex
/lamp/next/                    docs/intro.md
/lamp/next/lighting/oil        docs/01-lighting/02-oil.md
/lamp/next/care/               docs/care/index.md
/lamp/next/clean-the-glass     docs/care/cleaning.mdx
/lamp/next/care/secret         docs/care/secret.md                     unlisted noIndex
/lamp/next/the-chimney         docs/care/chimney.md
/lamp/next/lighting/wick       docs/01-lighting/01-wick.md
/lamp/next/spare%20parts       docs/spare parts.md
/lamp/next/loose               docs/loose.md
/lamp/                         versioned_docs/version-2.0/intro.md
/lamp/stand                    versioned_docs/version-2.0/stand.md
/lamp/1.0/intro                versioned_docs/version-1.0/intro.md     noIndex
/lamp/letters/2024/03/04/new-glass    letters/2024-03-04-new-glass/index.mdx
/lamp/letters/2024/02/03/aside        letters/2024-02-03-aside.md      unlisted noIndex
/lamp/letters/2024/01/02/first-light  letters/2024-01-02-first-light.md
/lamp/about                    src/pages/about.mdx
/lamp/shop                     src/pages/shop.tsx
`;

/** What French has of its own, by the English source. */
const FRENCH: Record<string, {source: string; route?: string}> = {
  'club/welcome.md': {source: 'i18n/fr/docusaurus-plugin-content-docs-club/current/welcome.md'},
  'docs/01-lighting/02-oil.md': {
    source: 'i18n/fr/docusaurus-plugin-content-docs/current/01-lighting/02-oil.md',
    route: "/lamp/fr/next/remplir-l'%C3%A9t%C3%A9",
  },
  'letters/2024-01-02-first-light.md': {
    source: 'i18n/fr/docusaurus-plugin-content-blog/2024-01-02-first-light.md',
  },
  'src/pages/about.mdx': {source: 'i18n/fr/docusaurus-plugin-content-pages/about.mdx'},
};

/** In the sitemap, and without content of their own; or, of the old shop, never found. */
const LISTS = /\/(letters(\/(archive|authors))?|(next|letters)\/tags(\/[\w-]+)?|next\/lighting|old%20shop)\/?$/;

before(() => {
  if (!existsSync(join(FIXTURE, 'node_modules'))) {
    run('npm', ['ci', '--no-audit', '--no-fund']);
  }
});

for (const slash of ['', 'true', 'false']) {
  test(`trailingSlash: ${slash || 'undefined'}`, async (t) => {
    const outDir = join(FIXTURE, 'build', slash || 'undefined');
    // Bundlers keep caches that a change of the environment does not end.
    ['.docusaurus', 'node_modules/.cache'].forEach((each) =>
      rmSync(join(FIXTURE, each), {recursive: true, force: true}),
    );
    run('npx', ['docusaurus', 'build', '--out-dir', outDir], {FIXTURE_TRAILING_SLASH: slash});

    for (const locale of LOCALES) {
      const dir = locale === 'en' ? outDir : join(outDir, locale);
      const manifest = JSON.parse(readFileSync(join(dir, 'askbook-manifest.json'), 'utf8')) as Manifest;
      const sitemap = sitemapOf(dir);

      await t.test(`${locale}: says what site it is`, () => {
        assert.equal(manifest.askbook, 1);
        assert.equal(manifest.revision, 'cafe42');
        assert.deepEqual(manifest.site, {
          title: 'The Lamp',
          url: 'https://lamp.example',
          baseUrl: locale === 'en' ? '/lamp/' : '/lamp/fr/',
          trailingSlash: slash ? slash === 'true' : null,
          noIndex: false,
          locale,
          defaultLocale: 'en',
          locales: LOCALES,
          direction: 'ltr',
        });
        assert.deepEqual(
          manifest.docs.map(({pluginId, versions}) => [pluginId, ...versions.map(({name}) => name)]),
          [
            ['club', 'current'],
            ['default', 'current', '2.0', '1.0'],
          ],
        );
      });

      await t.test(`${locale}: lists the pages, in order`, () => {
        assert.deepEqual(manifest.pages.map(summary), expected(locale, slash));
      });

      await t.test(`${locale}: the sitemap has every page but those that say no`, () => {
        const indexed = manifest.pages.filter(({noIndex}) => !noIndex).map(({route}) => route);

        assert.deepEqual(indexed.sort(), sitemap.filter((route) => !LISTS.test(route)).sort());
      });

      await t.test(`${locale}: every file exists and is the page it is said to be`, () => {
        for (const page of manifest.pages) {
          assert.equal(canonicalOf(join(dir, page.file)), `https://lamp.example${decodeURI(page.route)}`);
        }
      });

      await t.test(`${locale}: the widget is in the script of every page, and in no page`, () => {
        const assets = join(dir, 'assets/js');
        const main = readdirSync(assets).filter((name) => name.startsWith('main.'));
        const code = main.map((name) => readFileSync(join(assets, name), 'utf8')).join('');
        const pages = manifest.pages.map(({file}) => readFileSync(join(dir, file), 'utf8'));

        const [, told = ''] = /"docusaurus-plugin-askbook":\{"default":(.+?\}\})/.exec(code) ?? [];

        assert.deepEqual(JSON.parse(told.replaceAll('\\\\', '\\')), {
          script: 'https://ask.lamp.example/askbook.js',
          attributes: {api: 'https://ask.lamp.example', lang: locale, suggestions: JSON.stringify([SUGGESTIONS[locale]])},
        });
        assert.deepEqual(pages.filter((html) => /askbook-chat|ask\.lamp\.example/.test(html)), []);
      });
    }

    await t.test('fr: labels are translated, and fall back', () => {
      const {pages, docs} = JSON.parse(readFileSync(join(outDir, 'fr/askbook-manifest.json'), 'utf8')) as Manifest;

      assert.deepEqual(pages.find(({id}) => id === 'care/chimney')?.breadcrumbs, ['Entretien', 'Glass']);
      assert.deepEqual(docs[1]?.versions.map(({label}) => label), ['Prochaine', '2.0', '1.0']);
    });
  });
}

function run(command: string, args: string[], env: Record<string, string> = {}): void {
  execFileSync(command, args, {
    cwd: FIXTURE,
    env: {...process.env, CI: '1', NO_UPDATE_NOTIFIER: '1', ...env},
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

function expected(locale: string, slash: string): string[] {
  return ENGLISH.trim()
    .split('\n')
    .map((line) => {
      const [route = '', source = '', flags = ''] = line.split(/ {2,}/);
      const own = locale === 'fr' ? FRENCH[source] : undefined;
      const served = own?.route ?? (locale === 'fr' ? route.replace('/lamp/', '/lamp/fr/') : route);
      return [settle(served, slash), own?.source ?? source, flags].join(' | ');
    });
}

/** The home page of a locale keeps its slash in any case. */
function settle(route: string, slash: string): string {
  if (slash === '' || /^\/lamp\/(fr\/)?$/.test(route)) {
    return route;
  }
  return route.replace(/\/?$/, slash === 'true' ? '/' : '');
}

function summary({route, source, unlisted, noIndex}: Page): string {
  const flags = [unlisted && 'unlisted', noIndex && 'noIndex'].filter(Boolean).join(' ');
  return [route, source, flags].join(' | ');
}

function sitemapOf(dir: string): string[] {
  const xml = readFileSync(join(dir, 'sitemap.xml'), 'utf8');
  return [...xml.matchAll(/<loc>https:\/\/lamp\.example([^<]*)<\/loc>/g)].map(([, route]) =>
    (route ?? '').replace('&apos;', "'"),
  );
}

function canonicalOf(file: string): string | undefined {
  const html = readFileSync(file, 'utf8');
  const [, quoted, bare] = /rel="?canonical"? href=(?:"([^"]*)"|([^\s>]*))/.exec(html) ?? [];
  return (quoted ?? bare)?.replace('&#x27;', "'");
}
