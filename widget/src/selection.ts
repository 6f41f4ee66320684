// A small button at text the reader marks in the book.

import { beside } from './position.js'
import { cut } from './text.js'
import { addStyles, el, icon } from './view/dom.js'
import { QUOTE } from './view/icons.js'
import css from './view/selection.css'

const INSIDE = 'main, article, [role="main"]'
const OUTSIDE = 'askbook-chat, input, textarea, [contenteditable]'
const SHORTEST = 3
/** As much as the server takes. */
const LONGEST = 4_000

/** The words marked in the book right now; empty where none are. */
export function selectedText(): string {
  const selection = getSelection()
  if (!selection || selection.isCollapsed || !selection.rangeCount) return ''
  const { commonAncestorContainer: node } = selection.getRangeAt(0)
  const element = node instanceof Element ? node : node.parentElement
  if (!element?.closest(INSIDE) || element.closest(OUTSIDE)) return ''
  const text = selection.toString().trim()
  return text.length < SHORTEST ? '' : cut(text, LONGEST)
}

const LABELS: Record<string, string> = {
  en: 'Ask about this',
  de: 'Dazu fragen',
  fr: 'Poser une question là-dessus',
  es: 'Preguntar sobre esto',
  pt: 'Perguntar sobre isto',
  zh: '就此提问',
  ja: 'これについて質問する',
  ar: 'اسأل عن هذا',
}

/** Shows the button in `root` while something is marked; `use` gets the words. */
export function watchSelection(root: HTMLElement, use: (text: string) => void, signal: AbortSignal): void {
  addStyles(root, css)
  const caption = el('span')
  const button = el(
    'button',
    { type: 'button', class: 'ask-selection', part: 'ask-selection', hidden: true },
    icon(QUOTE),
    caption,
  )
  root.append(button)
  let pressed = false
  let timer = 0

  const place = () => {
    const text = pressed ? '' : selectedText()
    button.hidden = !text
    if (!text) return
    caption.textContent = LABELS[root.lang.slice(0, 2)] ?? LABELS.en!
    const rects = getSelection()!.getRangeAt(0).getClientRects()
    const anchor = rects[rects.length - 1]
    if (!anchor) return
    const bounds = { left: 0, top: 0, width: document.documentElement.clientWidth, height: innerHeight }
    const { left, top } = beside(anchor, button.getBoundingClientRect(), bounds)
    button.style.left = `${left}px`
    button.style.top = `${top}px`
  }
  const soon = () => {
    clearTimeout(timer)
    timer = window.setTimeout(place, 150)
  }
  const on = (target: EventTarget, type: string, does: (event: Event) => void) =>
    target.addEventListener(type, does, { signal, passive: type !== 'pointerdown' })

  on(document, 'selectionchange', soon)
  on(document, 'pointerdown', (event) => {
    pressed = !event.composedPath().includes(button)
  })
  for (const type of ['pointerup', 'pointercancel']) {
    on(document, type, () => {
      pressed = false
      soon()
    })
  }
  on(window, 'scroll', () => button.hidden || place())
  on(window, 'resize', () => button.hidden || place())
  on(button, 'pointerdown', (event) => event.preventDefault()) // or the click would take the selection away
  on(button, 'click', () => {
    const text = selectedText()
    button.hidden = true
    if (text) use(text)
  })
  signal.addEventListener('abort', () => {
    clearTimeout(timer)
    button.remove()
  })
  soon()
}
