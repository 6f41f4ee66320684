/** The manifest, version 1: what a reader of a build may rely on. In words: README.md. */

export interface Manifest {
  /** The version of this format. A reader refuses a number it does not know. */
  askbook: 1;
  /** `docusaurus-plugin-askbook/` and its version. */
  generator: string;
  /** The version of Docusaurus that made the build. */
  docusaurus: string;
  site: Site;
  /** The commit the site was built from, or empty. */
  revision: string;
  /** The docs instances of the site, by `pluginId`. */
  docs: DocsInstance[];
  /** Every page with content of its own. */
  pages: Page[];
}

export interface Site {
  title: string;
  /** Scheme and host; a page's full address is `url` followed by its `route`. */
  url: string;
  /** Where this locale begins, with a slash at both ends. */
  baseUrl: string;
  trailingSlash: boolean | null;
  /** The site asks search engines to stay away from all of it; it then has no sitemap. */
  noIndex: boolean;
  /** The locale of this build. */
  locale: string;
  defaultLocale: string;
  locales: string[];
  direction: 'ltr' | 'rtl';
}

export interface DocsInstance {
  pluginId: string;
  /** A prefix of routes, not necessarily a page. */
  path: string;
  /** As Docusaurus orders them: the newest first. */
  versions: Version[];
}

export interface Version {
  name: string;
  label: string;
  /** A prefix of routes, not necessarily a page. */
  path: string;
  /** The version a reader sees without choosing one. */
  isLast: boolean;
  banner: 'unreleased' | 'unmaintained' | null;
  noIndex: boolean;
}

export interface Page {
  kind: 'doc' | 'blog' | 'page';
  /** The path as served and as in the sitemap: trailing slash settled, percent-encoded. */
  route: string;
  /** The HTML file, relative to the manifest, with forward slashes, not encoded. */
  file: string;
  /** `null` where Docusaurus knows none before rendering: the HTML has it. */
  title: string | null;
  /** The file this was written in, relative to the site, with forward slashes; a translation where there is one. */
  source: string;
  /** The instance of the docs, blog or pages plugin: unique only together with `kind`. */
  pluginId: string;
  /** Of docs: the name of a version of `docs`. */
  version: string | null;
  /** Of docs and posts: the id in Docusaurus. */
  id: string | null;
  /** Of docs: the sidebar shown beside the page. */
  sidebar: string | null;
  /** Of docs: the labels of the sidebar's categories above this page, outermost first. */
  breadcrumbs: string[];
  /** Labels, in the order of the front matter. */
  tags: string[];
  /** Reachable by its address only. */
  unlisted: boolean;
  /** The page asks search engines to stay away, for whatever reason: then it is not in the sitemap. */
  noIndex: boolean;
  /** ISO 8601 in UTC, where the site shows it; otherwise `null`. */
  lastUpdatedAt: string | null;
  /** The place in reading order, from 0, among the pages of the same kind, instance and version. */
  position: number;
}
