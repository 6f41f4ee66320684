/** Where a page is: its address on the site, and its file in the build. */

import {posix} from 'node:path';

import type {Site} from './manifest';

/** Percent-encoded as a browser and the sitemap write it. */
export function encoded(path: string, url: string): string {
  const address = new URL(path, url);
  return address.href.slice(address.origin.length);
}

/** The file Docusaurus writes for a route, relative to the output folder of the locale. */
export function htmlFile(path: string, {baseUrl, trailingSlash}: Pick<Site, 'baseUrl' | 'trailingSlash'>): string {
  const inside = path.startsWith(baseUrl) ? path.slice(baseUrl.length) : path.slice(1);
  if (/\.html?$/i.test(inside)) {
    return inside;
  }
  if (inside === '' || inside.endsWith('/') || trailingSlash !== false) {
    return posix.join(inside, 'index.html');
  }
  return `${inside}.html`;
}

/**
 * Whether the router finds the page at its own address. It compares decoded addresses, so a route that is itself
 * percent-encoded matches nothing, and Docusaurus renders "not found" into the page's file.
 */
export function isReachable(path: string): boolean {
  try {
    return decodeURI(path) === path;
  } catch {
    return false;
  }
}
