/** What we read of the content and routes that Docusaurus loads: the part that is the same in 3.5 to 3.10. */

import type {Version} from './manifest';

export interface LoadedPlugin {
  name: string;
  options: {id: string};
  content: unknown;
  globalData: unknown;
}

export interface Route {
  path: string;
  metadata?: {sourceFilePath?: string};
  routes?: Route[];
}

export interface DocsContent {
  loadedVersions: LoadedVersion[];
}

/** What the docs plugin shares with the pages of the site. */
export interface DocsGlobalData {
  path: string;
}

export interface LoadedVersion {
  versionName: string;
  label: string;
  path: string;
  isLast: boolean;
  banner: Version['banner'];
  noIndex: boolean;
  docs: LoadedDoc[];
  sidebars: {[name: string]: SidebarItem[]};
}

export interface LoadedDoc extends Loaded {
  id: string;
  title: string;
  sidebar?: string;
  tags: {label: string}[];
  unlisted: boolean;
}

export type SidebarItem =
  | {type: 'doc'; id: string}
  | {
      type: 'category';
      label: string;
      link?: {type: 'doc'; id: string} | {type: 'generated-index'};
      items: SidebarItem[];
    }
  | {type: 'ref' | 'link' | 'html'};

export interface BlogContent {
  blogPosts: {id: string; metadata: LoadedPost}[];
}

export interface LoadedPost extends Loaded {
  title: string;
  date: Date;
  tags: {label: string}[];
  unlisted: boolean;
}

/** `null` where the site has no folder of pages. */
export type PagesContent = LoadedPage[] | null;

export interface LoadedPage extends Loaded {
  /** Markdown pages may have one, React pages do not. */
  title?: string | undefined;
  unlisted?: boolean;
}

interface Loaded {
  /** Before the site's `trailingSlash` is applied. */
  permalink: string;
  /** Begins with `@site/`. */
  source: string;
  /** Milliseconds since 1970. */
  lastUpdatedAt?: number | null | undefined;
}
