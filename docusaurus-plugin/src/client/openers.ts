/** Elements with `data-askbook-open` open the panel, wherever they are and whenever they came. */

import type {Chat} from './chat';
import {SEARCH, closeSidebar, openSearch} from './theme';

const OPENER = '[data-askbook-open]';
/** After which the reader gets the search instead. */
const PATIENCE = 5_000;

export function listenToOpeners(chat: Chat): void {
  document.addEventListener('click', (event) => {
    const opener = (event.target as Partial<Element>).closest?.<HTMLElement>(OPENER);
    if (!opener || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) {
      return;
    }
    event.preventDefault();
    const question = opener.dataset.askbookOpen ?? '';
    closeSidebar();
    void inTime(chat.element()).then(
      (element) => element.open(question || undefined),
      () => instead(opener, question),
    );
  });
}

let withdrawn = false;

/** A site without a search has nothing to offer in its place: there, a button that would do nothing is not shown. */
export function withdrawOpeners(): void {
  if (withdrawn || !('adoptedStyleSheets' in document)) {
    return;
  }
  const sheet = new CSSStyleSheet();
  // A search may also come later than this.
  sheet.replaceSync(`:root:not(:has(${SEARCH})) ${OPENER}:not([href]) { display: none !important }`);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  withdrawn = true;
}

function instead(opener: HTMLElement, question: string): void {
  if (opener instanceof HTMLAnchorElement && opener.href) {
    location.assign(opener.href);
  } else {
    openSearch(question);
  }
}

async function inTime<Value>(promise: Promise<Value>): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('too late')), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
