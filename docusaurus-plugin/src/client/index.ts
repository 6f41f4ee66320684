/** The widget in the browser, as Docusaurus sees it: a module of every page, and of none while pages are written. */

import {matchPath} from '@docusaurus/router';
import globalData from '@generated/globalData';
import routes from '@generated/routes';

import {chatOf, type Chat} from './chat';
import {follow} from './follow';
import {listenToOpeners, withdrawOpeners} from './openers';
import type {Widget} from './settings';

const chat = begin();

function begin(): Chat | undefined {
  const [widget] = Object.values(globalData['docusaurus-plugin-askbook'] ?? {}).filter(Boolean) as Widget[];
  if (!widget || typeof document === 'undefined') {
    return undefined;
  }
  const begun = chatOf(widget, (path) => follow(path, {routes, matchPath}), withdrawOpeners);
  listenToOpeners(begun);
  return begun;
}

export function onRouteDidUpdate(): void {
  chat?.arrived();
}
