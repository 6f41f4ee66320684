// From a citation to its passage: by the page's router if it has one, else as a link would go there.

import type { Mark } from './highlight.js'
import { samePage } from './links.js'
import type { Keeper } from './storage.js'
import type { Citation } from './wire.js'

export type Host = HTMLElement & { navigate?: (path: string) => void; attributeChangedCallback(name: string): void }

/** `found` hears whether the words were on the page, once it is there. */
export async function follow(
  link: HTMLAnchorElement,
  citation: Citation | undefined,
  host: Host,
  tab: Keeper,
  found: (found: boolean) => void,
): Promise<void> {
  const path = link.dataset.go!
  const { quote = '', passage_id: passage = '' } = citation ?? {}
  const hash = path.includes('#') ? path.slice(path.indexOf('#')) : ''
  const page = quote ? await import('./page.js').catch(() => null) : null
  if (page) {
    const mark: Mark = { path, hash, quote }
    const kept = JSON.stringify(mark)
    tab.set('mark', kept) // if another document is loaded, the loader there goes on with it
    void page.showMark(mark).then((is) => {
      if (tab.get('mark') !== kept) return // another one has been followed meanwhile
      tab.set('mark', null)
      if (samePage(path, location.pathname)) found(is)
    })
  }
  const detail = { path, hash, url: link.href, quote, passage, title: link.dataset.title }
  const event = new CustomEvent('askbook-navigate', { detail, bubbles: true, composed: true, cancelable: true })
  if (!host.dispatchEvent(event)) return
  if (host.navigate) host.navigate(path)
  else if (!samePage(path, location.pathname)) location.assign(path)
  else if (hash && hash !== location.hash) location.hash = hash
}
