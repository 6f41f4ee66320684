/** The plugin as Docusaurus sees it: options in, a manifest beside each locale's pages and a widget on them out. */

import {createRequire} from 'node:module';

import type {LoadContext, Plugin} from '@docusaurus/types';

import {compose} from './compose';
import type {Site} from './manifest';
import {NAME as name, type PluginOptions} from './options';
import {checkFiles, writeManifest} from './output';
import {findRevision} from './revision';
import {widgetIn} from './widget';

export type {DocsInstance, Manifest, Page, Site, Version} from './manifest';
export type {Options, PerLocale, PluginOptions} from './options';
export {validateOptions} from './options';

type PostBuild = Parameters<NonNullable<Plugin['postBuild']>>[0];

const {version} = createRequire(__filename)('../package.json') as {version: string};

export default function askbook(context: LoadContext, options: PluginOptions): Plugin {
  return {name, ...(options.manifest && manifestIn(context, options)), ...widgetIn(context, options)};
}

function manifestIn(context: LoadContext, options: PluginOptions): Pick<Plugin, 'postBuild'> {
  return {
    async postBuild(build) {
      if (build.siteConfig.future.experimental_router === 'hash') {
        console.warn(`${name}: with the hash router no page has a file of its own, so there is no manifest.`);
        return;
      }
      const {manifest, leftOut} = compose({
        generator: `${name}/${version}`,
        docusaurus: build.siteMetadata.docusaurusVersion,
        site: siteOf(build),
        revision: options.revision ?? findRevision(context.siteDir, process.env),
        plugins: build.plugins,
        routes: build.routes,
        isNoIndex: (path) => isNoIndex(path, build),
      });
      leftOut.forEach((sentence) => console.warn(`${name}: ${sentence}`));
      await checkFiles(manifest, build.outDir);
      await writeManifest(manifest, build.outDir);
    },
  };
}

function siteOf({siteConfig, baseUrl, i18n}: PostBuild): Site {
  return {
    title: siteConfig.title,
    url: siteConfig.url,
    baseUrl: baseUrl,
    trailingSlash: siteConfig.trailingSlash ?? null,
    noIndex: siteConfig.noIndex,
    locale: i18n.currentLocale,
    defaultLocale: i18n.defaultLocale,
    locales: [...i18n.locales],
    direction: i18n.localeConfigs[i18n.currentLocale]?.direction === 'rtl' ? 'rtl' : 'ltr',
  };
}

function isNoIndex(path: string, {routesBuildMetadata, head}: Partial<PostBuild>): boolean {
  if (routesBuildMetadata) {
    return routesBuildMetadata[path]?.noIndex ?? false;
  }
  // Docusaurus before 3.8 has only the tags it rendered.
  const tags = (head?.[path]?.meta.toComponent() ?? []) as unknown as {props: {name?: string; content?: string}}[];
  return tags.some(
    ({props}) => props.name?.toLowerCase() === 'robots' && props.content?.toLowerCase().includes('noindex'),
  );
}
