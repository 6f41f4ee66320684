/** Loaded content as Docusaurus would hand it over, written by hand. */

import type {Build} from '../src/compose';
import type {BlogContent, LoadedDoc, LoadedPlugin, LoadedVersion, PagesContent, Route} from '../src/content';
import type {Site} from '../src/manifest';

export const SITE: Site = {
  title: 'The Lamp',
  url: 'https://lamp.example',
  baseUrl: '/',
  trailingSlash: null,
  noIndex: false,
  locale: 'en',
  defaultLocale: 'en',
  locales: ['en'],
  direction: 'ltr',
};

export function doc(id: string, facts: Partial<LoadedDoc> = {}): LoadedDoc {
  return {
    id,
    title: `Title of ${id}`,
    permalink: `/docs/${id}`,
    source: `@site/docs/${id}.md`,
    tags: [],
    unlisted: false,
    ...facts,
  };
}

export function version(docs: LoadedDoc[], facts: Partial<LoadedVersion> = {}): LoadedVersion {
  return {
    versionName: 'current',
    label: 'Next',
    path: '/docs',
    isLast: true,
    banner: null,
    noIndex: false,
    docs,
    sidebars: {},
    ...facts,
  };
}

export function docsPlugin(loadedVersions: LoadedVersion[], id = 'default'): LoadedPlugin {
  return {
    name: 'docusaurus-plugin-content-docs',
    options: {id},
    content: {loadedVersions},
    globalData: {path: '/docs'},
  };
}

export function blogPlugin(blogPosts: BlogContent['blogPosts']): LoadedPlugin {
  return {
    name: 'docusaurus-plugin-content-blog',
    options: {id: 'default'},
    content: {blogPosts} satisfies BlogContent,
    globalData: undefined,
  };
}

export function pagesPlugin(content: PagesContent): LoadedPlugin {
  return {name: 'docusaurus-plugin-content-pages', options: {id: 'default'}, content, globalData: undefined};
}

/** A route for each pair of path and source. */
export function routes(...pairs: [path: string, source: string][]): Route[] {
  return pairs.map(([path, sourceFilePath]) => ({path, metadata: {sourceFilePath}}));
}

export function build(facts: Partial<Build>): Build {
  return {
    generator: 'docusaurus-plugin-askbook/0.0.0',
    docusaurus: '3.10.2',
    site: SITE,
    revision: '',
    plugins: [],
    routes: [],
    isNoIndex: () => false,
    ...facts,
  };
}
