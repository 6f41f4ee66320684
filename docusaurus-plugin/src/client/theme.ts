/** What we know of the site's theme: the class names of Docusaurus' own, and of the searches it is used with. */

export const SEARCH = '.DocSearch-Button, .aa-DetachedSearchButton, .navbar__search-input, .navbar input[type="search"]';

/** Closes the menu of a small screen; says whether it was open. The focus goes where it was opened. */
export function closeSidebar(): boolean {
  const close = document.querySelector<HTMLElement>('.navbar-sidebar--show .navbar-sidebar__close');
  close?.click();
  if (close) {
    document.querySelector<HTMLElement>('.navbar__toggle')?.focus();
  }
  return close !== null;
}

export function openSearch(question: string): void {
  const search = document.querySelector<HTMLElement>(SEARCH);
  if (!(search instanceof HTMLInputElement)) {
    search?.click();
    return;
  }
  search.focus();
  if (question) {
    search.value = question;
    search.dispatchEvent(new Event('input', {bubbles: true}));
  }
}
