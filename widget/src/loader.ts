// `<askbook-chat>`: a button, and what it takes to open the panel. On every page, so it is small; the rest is loaded
// when it is needed. No `export` and no `import.meta`: the same file serves as a script, as a module and in a bundle.

import type { Panel } from './panel.js'
import css from './view/button.css'
import { addStyles, icon } from './view/dom.js'
import { ASK } from './view/icons.js'

const NAMES: Record<string, string> = {
  en: 'Ask the book',
  de: 'Das Buch fragen',
  fr: 'Interroger le livre',
  es: 'Preguntar al libro',
  pt: 'Perguntar ao livro',
  zh: '向本书提问',
  ja: 'この本に質問する',
  ar: 'اسأل الكتاب',
}
// Nothing of this is there where a page is made on a server.
const {
  document: page,
  HTMLElement: Base = Object,
  customElements: registry,
} = globalThis as Partial<typeof globalThis>
const script = page?.currentScript as HTMLScriptElement | null | undefined

class AskbookChat extends (Base as typeof HTMLElement) {
  static observedAttributes = ['lang', 'title', 'suggestions', 'page', 'theme']

  /** A router of the page: given a path, it goes there. Never initialised here: it may be set before we are. */
  declare navigate?: (path: string) => void

  #root = page!.createElement('div')
  #button = page!.createElement('button')
  #label = page!.createElement('span')
  #panel: Promise<Panel> | undefined
  #watching: unknown
  #leave: AbortController | undefined

  constructor() {
    super()
    this.attachShadow({ mode: 'open' }).append(this.#root)
    addStyles(this.#root, css, this.nonce)
    // Without a title of its own, the browser would show the element's over everything in it.
    Object.assign(this.#root, { className: 'askbook', title: '' })
    Object.assign(this.#button, {
      className: 'launcher',
      part: 'button',
      ariaHasPopup: 'dialog',
      onclick: () => this.open(),
    })
    this.#button.append(icon(ASK), this.#label)
    this.#root.append(this.#button)
  }

  connectedCallback(): void {
    const { signal } = (this.#leave = new AbortController())
    this.#button.hidden = this.#inline
    this.#dress()
    addEventListener(
      'keydown',
      (event) => {
        const held =
          (event.ctrlKey || event.metaKey ? 'mod+' : '') +
          (event.altKey ? 'alt+' : '') +
          (event.shiftKey ? 'shift+' : '')
        if ((held + event.key).toLowerCase() !== (this.getAttribute('shortcut') ?? 'mod+i')) return
        event.preventDefault()
        this.#use((panel) => panel.toggle())
      },
      { signal },
    )
    // What offers to ask about marked words is loaded the first time there are any.
    page!.addEventListener(
      'selectionchange',
      () => {
        if (this.#inline || getSelection()!.isCollapsed) return
        this.#watching ??= import('./page.js').then((part) =>
          part.watchSelection(this.#root, (text) => this.#use((panel) => panel.select(text)), signal),
        )
      },
      { signal },
    )
    const prefix = `askbook:${this.#api}:`
    let kept: Record<string, string> = {}
    try {
      kept = sessionStorage
    } catch {} // it is blocked
    if (this.#inline || kept[prefix + 'open']) this.#use((panel) => panel.open({ focus: false }))
    if (kept[prefix + 'mark']) void import('./page.js').then((part) => part.showKeptMark(prefix + 'mark'))
  }

  disconnectedCallback(): void {
    this.#leave!.abort()
    void this.#panel?.then((panel) => panel.dispose())
    this.#panel = this.#watching = undefined
  }

  attributeChangedCallback(name: string): void {
    this.#dress()
    void this.#panel?.then((panel) => panel.changed(name))
  }

  open(question?: string): void {
    this.#use((panel) => panel.open(question ? { question } : {}))
  }

  close(): void {
    void this.#panel?.then((panel) => panel.close())
  }

  ask(question: string): void {
    this.#use((panel) => panel.ask(question))
  }

  get #inline(): boolean {
    return this.getAttribute('mode') === 'inline'
  }

  get #api(): string {
    const api = this.getAttribute('api')
    return new URL(api || '/', (!api && script?.src) || location.href).href.replace(/\/$/, '')
  }

  /** Language, direction and name, as our own attributes or the page have them. */
  #dress(): void {
    const lang = this.lang || page!.documentElement.lang || 'en'
    const name = this.title || NAMES[lang.slice(0, 2)] || NAMES.en!
    Object.assign(this.#root, { lang, dir: lang.slice(0, 2) === 'ar' ? 'rtl' : 'ltr' })
    this.#label.textContent = name
  }

  #use(use: (panel: Panel) => void): void {
    this.#panel ??= import('./panel.js').then((part) => part.mount(this, this.#root, this.#api))
    void this.#panel.then(use, (cause) => {
      this.#panel = undefined // the next click tries again
      // Without `crossorigin`, a script of another origin can load nothing, and what it throws is told to nobody.
      console.error('askbook.js cannot load its panel. Does its script have crossorigin?', cause)
    })
  }
}

if (registry && !registry.get('askbook-chat')) {
  registry.define('askbook-chat', AskbookChat)
  // <script src="…/askbook.js" data-api="…" crossorigin defer> puts the element there by itself.
  if (script?.dataset.api != null) {
    const element = page!.createElement('askbook-chat')
    for (const name in script.dataset) element.setAttribute(name, script.dataset[name]!)
    const place = page!.body ?? page!.documentElement // without `defer` there is no body yet
    place.append(element)
  }
}
