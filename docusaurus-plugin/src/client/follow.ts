/** Goes where a citation leads, without loading the document anew where the site's router knows the page. */

import {closeSidebar} from './theme';

export interface Route {
  path: string;
  routes?: Route[];
}

export type MatchPath = (path: string, route: Route) => unknown;

export interface Pages {
  routes: Route[];
  matchPath: MatchPath;
}

export function follow(path: string, pages: Pages): void {
  const address = new URL(path, location.href);
  // A router takes a text fragment for a part of the anchor's name.
  address.hash = address.hash.split(':~:', 1)[0] ?? '';
  if (address.origin !== location.origin || !isPage(address, pages)) {
    location.assign(path);
    return;
  }
  // An open menu of a phone takes the next step of the history as a wish to close it, and stays where it is.
  if (closeSidebar()) {
    setTimeout(() => go(address));
  } else {
    go(address);
  }
}

/**
 * Whether the router has the page. It has no page of another locale, nor files beside the pages; and an address that
 * cannot be decoded would throw an error into it.
 */
export function isPage({pathname, hash}: Pick<URL, 'pathname' | 'hash'>, {routes, matchPath}: Pages): boolean {
  try {
    decodeURIComponent(hash);
    return leads(decodeURI(pathname), routes, matchPath);
  } catch {
    return false;
  }
}

/** The first that matches decides, as it does in the router. The last one of all is "not found". */
function leads(path: string, routes: Route[], matchPath: MatchPath): boolean {
  const route = routes.find((each) => matchPath(path, each));
  if (route?.routes) {
    return leads(path, route.routes, matchPath);
  }
  return route !== undefined && route.path !== '*';
}

/** No hook reaches a router from outside of React; but it listens to the browser's history. */
function go(address: URL): void {
  // The key of where we are: one that the router has not given itself would confuse its count of steps.
  const state = {key: (history.state as {key?: string} | null)?.key};
  if (address.href === location.href) {
    history.replaceState(state, '', address);
  } else {
    history.pushState(state, '', address);
  }
  dispatchEvent(new PopStateEvent('popstate', {state}));
}
