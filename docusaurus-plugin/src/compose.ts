/** A loaded site becomes a manifest. Pure: no file, no clock, no environment. */

import {encoded, htmlFile, isReachable} from './address';
import type {
  BlogContent,
  DocsContent,
  DocsGlobalData,
  LoadedPlugin,
  LoadedVersion,
  PagesContent,
  Route,
} from './content';
import type {Manifest, Page, Site, Version} from './manifest';
import {byText} from './order';
import {readingOrder} from './reading-order';

export interface Build {
  generator: string;
  docusaurus: string;
  site: Site;
  revision: string;
  plugins: LoadedPlugin[];
  routes: Route[];
  /** Whether the page rendered at this path asks search engines to stay away. */
  isNoIndex: (path: string) => boolean;
}

export interface Composed {
  manifest: Manifest;
  /** Why a file of the site is not among the pages though Docusaurus loaded it as one: a sentence each. */
  leftOut: string[];
}

/** A page before its address is settled. */
type Entry = Omit<Page, 'route' | 'file' | 'position'> & {permalink: string};

export function compose({plugins, routes, isNoIndex, ...facts}: Build): Composed {
  const {site} = facts;
  const docs = instances<DocsContent>(plugins, 'docusaurus-plugin-content-docs');
  const blogs = instances<BlogContent>(plugins, 'docusaurus-plugin-content-blog');
  const pages = instances<PagesContent>(plugins, 'docusaurus-plugin-content-pages');

  const served = servedRoutes(routes);
  const leftOut: string[] = [];
  const settle = ({permalink, kind, ...entry}: Entry): Omit<Page, 'position'>[] => {
    const route = served.get(bare(permalink));
    if (!route) {
      throw new Error(`${entry.source} is loaded as a page at ${permalink}, but the site has no such route.`);
    }
    const {path} = route;
    const shown = route.metadata?.sourceFilePath ?? entry.source;
    if (shown !== entry.source) {
      leftOut.push(`${entry.source} is left out: ${path} shows ${shown}.`);
      return [];
    }
    if (!isReachable(path)) {
      leftOut.push(`${entry.source} is left out: Docusaurus renders "not found" at ${path}. Change the name or slug.`);
      return [];
    }
    return [
      {
        kind,
        route: encoded(path, site.url),
        file: htmlFile(path, site),
        ...entry,
        noIndex: entry.noIndex || isNoIndex(path),
      },
    ];
  };

  // Each list is one reading order.
  const lists = [
    ...docs.flatMap(({id, content}) => content.loadedVersions.map((version) => docsOf(id, version))),
    ...blogs.map(({id, content}) => postsOf(id, content)),
    ...pages.map(({id, content}) => pagesOf(id, content)),
  ];
  const manifest: Manifest = {
    askbook: 1,
    generator: facts.generator,
    docusaurus: facts.docusaurus,
    site: {...site, baseUrl: encoded(site.baseUrl, site.url)},
    revision: facts.revision,
    docs: docs.map(({id, content, globalData}) => ({
      pluginId: id,
      path: encoded((globalData as DocsGlobalData).path, site.url),
      versions: content.loadedVersions.map((version) => versionOf(version, site)),
    })),
    pages: lists.flatMap((list) => list.flatMap(settle).map((page, position) => ({...page, position}))),
  };
  return {manifest, leftOut};
}

interface Instance<Content> {
  id: string;
  content: Content;
  globalData: unknown;
}

function instances<Content>(plugins: LoadedPlugin[], name: string): Instance<Content>[] {
  return plugins
    .filter((plugin) => plugin.name === name)
    .map(({options, content, globalData}) => ({id: options.id, content: content as Content, globalData}))
    .sort((a, b) => byText(a.id, b.id));
}

function versionOf({versionName, label, path, isLast, banner, noIndex}: LoadedVersion, site: Site): Version {
  return {name: versionName, label, path: encoded(path, site.url), isLast, banner, noIndex};
}

function docsOf(pluginId: string, version: LoadedVersion): Entry[] {
  return readingOrder(version).map(({doc, breadcrumbs}) => ({
    kind: 'doc',
    permalink: doc.permalink,
    title: doc.title,
    source: inSite(doc.source),
    pluginId,
    version: version.versionName,
    id: doc.id,
    sidebar: doc.sidebar ?? null,
    breadcrumbs,
    tags: labels(doc.tags),
    unlisted: doc.unlisted,
    noIndex: version.noIndex,
    lastUpdatedAt: isoDate(doc.lastUpdatedAt),
  }));
}

function postsOf(pluginId: string, {blogPosts}: BlogContent): Entry[] {
  return [...blogPosts]
    .sort(
      ({metadata: a}, {metadata: b}) =>
        b.date.getTime() - a.date.getTime() || byText(a.permalink, b.permalink),
    )
    .map(({id, metadata}) => ({
      kind: 'blog',
      permalink: metadata.permalink,
      title: metadata.title,
      source: inSite(metadata.source),
      pluginId,
      version: null,
      id,
      sidebar: null,
      breadcrumbs: [],
      tags: labels(metadata.tags),
      unlisted: metadata.unlisted,
      noIndex: false,
      lastUpdatedAt: isoDate(metadata.lastUpdatedAt),
    }));
}

function pagesOf(pluginId: string, pages: PagesContent): Entry[] {
  return [...(pages ?? [])]
    .sort((a, b) => byText(a.permalink, b.permalink))
    .map((page) => ({
      kind: 'page',
      permalink: page.permalink,
      title: page.title ?? null,
      source: inSite(page.source),
      pluginId,
      version: null,
      id: null,
      sidebar: null,
      breadcrumbs: [],
      tags: [],
      unlisted: page.unlisted ?? false,
      noIndex: false,
      lastUpdatedAt: isoDate(page.lastUpdatedAt),
    }));
}

/** The routes by path. Where several claim one, the router takes the first; it does not mind a slash at the end. */
function servedRoutes(routes: Route[]): Map<string, Route> {
  const served = new Map<string, Route>();
  const visit = (route: Route): void => {
    if (route.routes) {
      route.routes.forEach(visit);
    } else if (!served.has(bare(route.path))) {
      served.set(bare(route.path), route);
    }
  };
  routes.forEach(visit);
  return served;
}

function bare(path: string): string {
  return path.replace(/\/$/, '');
}

function inSite(source: string): string {
  return source.replace(/^@site\//, '');
}

function labels(tags: {label: string}[]): string[] {
  return tags.map(({label}) => label);
}

function isoDate(milliseconds: number | null | undefined): string | null {
  return typeof milliseconds === 'number' ? new Date(milliseconds).toISOString() : null;
}
