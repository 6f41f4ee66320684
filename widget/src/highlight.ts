// The quoted passage on the page: found, uncovered, brought into view and marked.

import { findLetters, lettersOf, shownOf } from './quote.js'
import { samePage } from './links.js'

/** What is to be marked once its page is there. */
export interface Mark {
  path: string
  hash: string
  quote: string
}

const NAME = 'askbook'
const PATIENCE = 8_000
const LEAVING = 1_500
const PAUSE = 350
const CALM = 4
const MOST_ROUNDS = 20
/** Pixels, but for the share of the window that a long passage may take from the panel. */
const MARGIN = 24
const LOWEST_PANEL = 240
const MOST_FOR_PASSAGE = 0.6
/** Where the text of a page is: the first of these that there is. */
const ROOTS = ['main article', 'article', 'main', '[role="main"]', 'body']
const UNREAD = 'script, style, noscript, template, askbook-chat, .hash-link'

let stop = () => {}
let unmark = () => {}
let raise = () => {}
let latest: Mark | undefined

/**
 * Waits, for a while, for the page and its passage. Resolves to whether the passage was found. Where a router is to
 * lead to the page, this is called first: the address changes before the page, and the old page is not to be marked.
 */
export function showMark(mark: Mark): Promise<boolean> {
  stop()
  unmark()
  latest = mark
  return new Promise((resolve) => {
    let looking = 0
    let isLate = false
    let leaving = samePage(location.pathname, mark.path) ? null : rootOf()
    const end = (found: boolean) => {
      observer.disconnect()
      for (const timer of [waiting, keeping, looking]) clearTimeout(timer)
      stop = () => {}
      resolve(found)
    }
    const look = () => {
      looking = 0
      if (!samePage(location.pathname, mark.path)) return
      if (leaving && leaving === rootOf()) return
      const range = find(mark) ?? (isLate ? find(mark, document.body) : null)
      if (!range) return
      end(true)
      void reveal(mark, range, () => latest === mark)
    }
    const observer = new MutationObserver(() => {
      looking ||= window.setTimeout(look, 50)
    })
    // A router may keep the element and change what is in it; and the words may be outside of what we took for the text.
    const keeping = setTimeout(() => {
      leaving = null
      isLate = true
      look()
    }, LEAVING)
    const waiting = setTimeout(() => {
      if (samePage(location.pathname, mark.path)) anchorOf(mark.hash)?.scrollIntoView({ block: 'start' })
      end(false)
    }, PATIENCE)
    stop = () => end(false)
    observer.observe(document.documentElement, { childList: true, subtree: true })
    look()
  })
}

/** What was followed on the page before this one. */
export function showKeptMark(key: string): void {
  const mark = JSON.parse(sessionStorage[key] as string) as Mark
  sessionStorage.removeItem(key)
  if (samePage(location.pathname, mark.path)) void showMark(mark)
}

function rootOf(): Element {
  for (const selector of ROOTS) {
    const found = document.querySelector(selector)
    if (found) return found
  }
  return document.documentElement
}

function find({ hash, quote }: Mark, root = rootOf()): Range | null {
  const texts: Text[] = []
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const text = walker.currentNode as Text
    if (!text.parentElement?.closest(UNREAD)) texts.push(text)
  }
  const page = lettersOf(texts.map(({ data }) => data).join(''))
  const anchor = anchorOf(hash)
  const found = findLetters(
    page.text,
    lettersOf(shownOf(quote)).text,
    anchor ? lettersBefore(anchor, texts, page.at) : 0,
  )
  if (!found) return null
  const range = document.createRange()
  const [first, last] = found
  let passed = 0
  let begun = false
  for (const text of texts) {
    const end = passed + text.length
    if (!begun && page.at[first]! < end) {
      range.setStart(text, page.at[first]! - passed)
      begun = true
    }
    if (page.at[last]! < end) {
      const offset = page.at[last]! - passed
      range.setEnd(text, offset + String.fromCodePoint(text.data.codePointAt(offset)!).length)
      return range
    }
    passed = end
  }
  return null
}

function anchorOf(hash: string): Element | null {
  try {
    return document.getElementById(decodeURIComponent(hash.slice(1)))
  } catch {
    return null
  }
}

function lettersBefore(anchor: Element, texts: readonly Text[], at: readonly number[]): number {
  let passed = 0
  for (const text of texts) {
    if (anchor.compareDocumentPosition(text) & (Node.DOCUMENT_POSITION_FOLLOWING | Node.DOCUMENT_POSITION_CONTAINED_BY))
      break
    passed += text.length
  }
  const first = at.findIndex((index) => index >= passed)
  return first < 0 ? 0 : first
}

/**
 * Uncovers the words, paints them and scrolls. Then stays with them for a moment: a page that has just been loaded does
 * not listen to clicks yet and may draw its words anew, a router may scroll to the heading, images may arrive.
 */
async function reveal(mark: Mark, found: Range, isOurs: () => boolean): Promise<void> {
  let range = found
  let readerMoved = false
  const leaving = new AbortController()
  for (const type of ['wheel', 'touchmove', 'keydown']) {
    addEventListener(type, () => (readerMoved = true), { passive: true, signal: leaving.signal })
  }
  for (let calm = 0, rounds = 0; calm < CALM && rounds < MOST_ROUNDS && isOurs(); rounds++) {
    if (range.collapsed) {
      range = find(mark) ?? range
      calm = 0
    }
    if (uncover(range.startContainer)) calm = 0
    else if (!calm++) {
      unmark()
      unmark = paint(range)
      bringIntoView(range, matchMedia('(prefers-reduced-motion: reduce)').matches ? 'instant' : 'smooth')
    } else if (calm === CALM && !readerMoved && !isInView(range)) bringIntoView(range, 'instant')
    await new Promise((resolve) => setTimeout(resolve, PAUSE))
  }
  leaving.abort()
}

/** Opens whatever hides the words. Clicks where there is something to click: the page's own code keeps up with it. */
function uncover(node: Node): boolean {
  let changed = false
  for (let element = node.parentElement; element; element = element.parentElement) {
    if (element instanceof HTMLDetailsElement && (!element.open || element.dataset.collapsed === 'true')) {
      element.querySelector<HTMLElement>(':scope > summary')?.click()
      // A plain one opens after the click has been told, one that is run by code may refuse.
      if (!element.open) element.open = true
      changed = true
    } else if (element.getAttribute('role') === 'tabpanel' && element.hidden) {
      tabOf(element)?.click()
      changed = true
    }
  }
  return changed
}

function tabOf(panel: Element): HTMLElement | null {
  const label = panel.getAttribute('aria-labelledby')
  const named = label ? document.getElementById(label) : null
  if (named) return named
  const controls =
    panel.id && document.querySelector<HTMLElement>(`[role="tab"][aria-controls="${CSS.escape(panel.id)}"]`)
  if (controls) return controls
  // Docusaurus names neither: panels and tabs come in the same order.
  const panels = [...(panel.parentElement?.children ?? [])].filter((child) => child.getAttribute('role') === 'tabpanel')
  const list = panel.parentElement?.parentElement?.querySelector('[role="tablist"]')
  return list?.querySelectorAll<HTMLElement>('[role="tab"]')[panels.indexOf(panel)] ?? null
}

function paint(range: Range): () => void {
  const { highlights } = CSS
  if (highlights as typeof highlights | undefined) {
    sheet ??= addSheet()
    highlights.set(NAME, new Highlight(range))
    return () => void highlights.delete(NAME)
  }
  return markByElement(range)
}

let sheet: CSSStyleSheet | undefined

function addSheet(): CSSStyleSheet {
  const added = new CSSStyleSheet()
  added.replaceSync(`
    ::highlight(${NAME}) { background-color: var(--askbook-mark, #ffe08a); color: var(--askbook-on-mark, #1d1a10) }
    mark.askbook { background-color: var(--askbook-mark, #ffe08a); color: var(--askbook-on-mark, #1d1a10) }
    @media (forced-colors: active) { ::highlight(${NAME}) { background-color: Mark; color: MarkText } }
  `)
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, added]
  return added
}

/** Text nodes are split and wrapped, and put together again afterwards: whoever drew the page finds its nodes. */
function markByElement(range: Range): () => void {
  sheet ??= addSheet()
  const marks: HTMLElement[] = []
  const walker = document.createTreeWalker(range.commonAncestorContainer, NodeFilter.SHOW_TEXT)
  const texts: Text[] = []
  if (range.commonAncestorContainer instanceof Text) texts.push(range.commonAncestorContainer)
  while (walker.nextNode()) if (range.intersectsNode(walker.currentNode)) texts.push(walker.currentNode as Text)
  const { startContainer, startOffset, endContainer, endOffset } = range
  for (const text of texts) {
    const end = text === endContainer ? endOffset : text.length
    const start = text === startContainer ? startOffset : 0
    if (!text.data.slice(start, end).trim()) continue
    if (end < text.length) text.splitText(end)
    const piece = start > 0 ? text.splitText(start) : text
    const element = document.createElement('mark')
    element.className = NAME
    piece.replaceWith(element)
    element.append(piece)
    marks.push(element)
  }
  return () => {
    for (const element of marks) {
      const parent = element.parentNode
      element.replaceWith(...element.childNodes)
      parent?.normalize()
    }
  }
}

function bringIntoView(range: Range, behavior: ScrollBehavior): void {
  // What scrolls inside of the page, such as a wide block of code, first.
  range.startContainer.parentElement?.scrollIntoView({ block: 'nearest', inline: 'nearest', behavior: 'instant' })
  const bar = barHeight()
  const { top } = rectOf(range)
  const { scrollHeight } = document.documentElement
  const wanted = top - bar - Math.min((innerHeight - bar) * 0.25, 160)
  const way = Math.max(-scrollY, Math.min(wanted, scrollHeight - innerHeight - scrollY))
  makeWay(range, way)
  scrollBy({ top: way, behavior })
}

function isInView(range: Range): boolean {
  const { top, bottom } = rectOf(range)
  const panel = panelOver(range)
  const end = panel ? panel.getBoundingClientRect().top : innerHeight
  return top >= barHeight() && Math.min(bottom, top + 40) <= end
}

/** The panel, where it is open over the page and words of the passage would be below it. */
function panelOver(range: Range): HTMLElement | undefined {
  const panels = [...document.querySelectorAll('askbook-chat')]
    .map((chat) => chat.shadowRoot?.querySelector<HTMLElement>('dialog[open]:not(:modal)'))
    .filter((panel) => panel instanceof HTMLElement)
  const lines = [...range.getClientRects()]
  return panels.find((panel) => {
    const { left, right } = panel.getBoundingClientRect()
    return lines.some((line) => line.left < right && line.right > left)
  })
}

/** Lowers the panel, so that the passage is above it once it is scrolled by `way`. It rises when the reader writes. */
function makeWay(range: Range, way: number): void {
  raise()
  const panel = panelOver(range)
  if (!panel) return
  const { bottom, height } = panel.getBoundingClientRect()
  const end = Math.max(...[...range.getClientRects()].map((line) => line.bottom)) - way
  const room = Math.max(bottom - Math.min(end, innerHeight * MOST_FOR_PASSAGE) - MARGIN, LOWEST_PANEL)
  if (room >= height) return
  const writes = ({ target }: Event) => target instanceof HTMLTextAreaElement && raise()
  panel.addEventListener('focusin', writes)
  panel.style.height = `${room}px`
  raise = () => {
    panel.removeEventListener('focusin', writes)
    panel.style.height = ''
    raise = () => {}
  }
  ;(panel.getRootNode() as ShadowRoot).activeElement?.scrollIntoView({ block: 'nearest' })
}

function rectOf(range: Range): DOMRect {
  return range.getClientRects()[0] ?? range.getBoundingClientRect()
}

/** Height of what stays at the top of the window while the page scrolls. */
function barHeight(): number {
  for (const element of document.elementsFromPoint(innerWidth / 2, 4)) {
    for (let at: Element | null = element; at; at = at.parentElement) {
      const { position } = getComputedStyle(at)
      const { bottom } = at.getBoundingClientRect()
      if ((position === 'fixed' || position === 'sticky') && bottom < innerHeight / 3) return Math.max(0, bottom)
    }
  }
  return 0
}
