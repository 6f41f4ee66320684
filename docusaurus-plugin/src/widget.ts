/** The plugin's second half: what a build gives to the pages of a locale, so that they have the widget. */

import {join} from 'node:path';

import type {LoadContext, Plugin} from '@docusaurus/types';

import type {Widget} from './client/settings';
import {NAME, isPath, listed, type PerLocale, type PluginOptions} from './options';

/** Nothing where the site has no widget: its pages are then as they would be without the plugin. */
export function widgetIn(
  {siteConfig, i18n}: LoadContext,
  options: PluginOptions,
): Pick<Plugin, 'contentLoaded' | 'getClientModules'> {
  const {currentLocale: current, locales: all, localeConfigs} = i18n;
  const widget = widgetOf(options, {current, all, htmlLang: localeConfigs[current]?.htmlLang ?? current});
  if (!widget) {
    return {};
  }
  if (siteConfig.future.experimental_router === 'hash') {
    console.warn(`${NAME}: with the hash router no page has a path of its own to ask from, so there is no widget.`);
    return {};
  }
  if (isRefused(widget.script, siteConfig.url)) {
    console.warn(`${NAME}: ${siteConfig.url} is served over HTTPS, and browsers will not load ${widget.script} there.`);
  }
  return {
    getClientModules: () => [join(__dirname, 'client/index.js')],
    contentLoaded: ({actions}) => actions.setGlobalData(widget),
  };
}

export interface Locales {
  current: string;
  all: readonly string[];
  /** What the pages say in `<html lang>`. */
  htmlLang: string;
}

/** Decided at build, read in the browser. */
export function widgetOf(options: PluginOptions, locales: Locales): Widget | undefined {
  const {apiUrl, title, suggestions, shortcut, theme} = options;
  checkLocales({title, suggestions}, locales);
  if (!apiUrl || !options.widget) {
    return undefined;
  }
  const api = apiUrl.replace(/\/+$/, '');
  const questions = inLocale(suggestions, locales.current);
  const attributes = {
    api: api || '/',
    lang: locales.htmlLang,
    title: inLocale(title, locales.current),
    suggestions: questions && JSON.stringify(questions),
    shortcut: shortcut === false ? '' : shortcut,
    theme: theme === 'auto' ? undefined : theme,
  };
  return {
    script: `${api}/askbook.js`,
    attributes: Object.fromEntries(Object.entries(attributes).filter(hasValue)),
  };
}

/** Browsers let no script come without encryption to a page that came with it, unless from the reader's own machine. */
export function isRefused(script: string, siteUrl: string): boolean {
  if (isPath(script) || !siteUrl.startsWith('https:')) {
    return false;
  }
  const {protocol, hostname} = new URL(script);
  return protocol === 'http:' && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

function inLocale<Value extends string | string[]>(given: PerLocale<Value> | undefined, locale: string): Value | undefined {
  return isMap(given) ? given[locale] : given;
}

function isMap<Value extends string | string[]>(given: PerLocale<Value> | undefined): given is {[locale: string]: Value} {
  return typeof given === 'object' && !Array.isArray(given);
}

function checkLocales(given: {[option: string]: PerLocale<string> | PerLocale<string[]> | undefined}, {all}: Locales): void {
  for (const [option, value] of Object.entries(given)) {
    const unknown = isMap<string | string[]>(value) && Object.keys(value).find((locale) => !all.includes(locale));
    if (unknown) {
      const known = all.length > 1 ? `locales are ${listed(all)}` : `only locale is ${listed(all)}`;
      throw new Error(`${NAME}: "${option}" names the locale "${unknown}"; the site's ${known}.`);
    }
  }
}

function hasValue(entry: [name: string, value: string | undefined]): entry is [string, string] {
  return entry[1] !== undefined;
}
