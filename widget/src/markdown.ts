// The Markdown of an answer as nodes. A model wrote it, so it is not trusted: no HTML string is ever made. Tokens
// become nodes of a few kinds, DOMPurify looks at them again, and only then come our own parts: chips and buttons.

import DOMPurify from 'dompurify'
import { Lexer, Tokenizer, type MarkedOptions, type Token, type Tokens } from 'marked'

import { el } from './view/dom.js'

/** What the rest of the panel knows about an answer. */
export interface Rules {
  /** The node of a marker; null where the number is only a number. */
  chip(number: number): Node | null
  /** A link to a place the server named; null for any other, of which only the words are shown. */
  link(href: string): HTMLElement | null
  codeHead(language: string): Node
}

const DEEPEST = 12
const MARKER = /\[(\d{1,3})\]/g
const MATHS = /^ {0,3}\$\$([\s\S]+?)\$\$ *(?:\n+|$)/
const HEADINGS = ['h4', 'h5', 'h6'] as const // the question is an h3

/** HTML, bare addresses and link definitions stay the text they are. Underlined headings flicker in a stream. */
class PlainTokenizer extends Tokenizer {
  override html = nothing
  override tag = nothing
  override def = nothing
  override lheading = nothing
  override autolink = nothing
  override url = nothing
}

function nothing(): undefined {}

const OPTIONS: MarkedOptions = {
  gfm: true,
  tokenizer: new PlainTokenizer(),
  extensions: {
    renderers: {},
    childTokens: {},
    block: [
      (source) => {
        const found = MATHS.exec(source)
        return found ? { type: 'maths', raw: found[0], text: found[1]!.trim() } : undefined
      },
    ],
    startBlock: [(source) => /\n {0,3}\$\$/.exec(source)?.index],
  },
}

const TAGS = 'div p h4 h5 h6 hr br ul ol li blockquote pre code strong em del sup a table thead tbody tr th td #text'

let purifies = false

/** The blocks of a text. Those of type `space` are among them, so that their `raw` adds up to the text. */
export function blocksOf(text: string): Token[] {
  try {
    return new Lexer(OPTIONS).lex(text)
  } catch {
    return [{ type: 'unread', raw: text }] // nested beyond all measure: shown as it is
  }
}

export function draw(token: Token, rules: Rules): ChildNode[] {
  const holder = el('div')
  holder.append(...block(token, false, 0))
  purify(holder)
  dress(holder, rules)
  return [...holder.childNodes]
}

/** The first drawing takes several times as long as the next: better before an answer comes than under its first words. */
export function rehearse(): void {
  const rules = { chip: () => null, link: () => null, codeHead: () => el('p') }
  for (const token of blocksOf('a *b* `c` [1]\n\n- d\n')) draw(token, rules)
}

// Tokens to nodes -----------------------------------------------------------------------------------------

function block(token: Token, loose: boolean, depth: number): (Node | string)[] {
  if (depth > DEEPEST) return [el('p', {}, token.raw)]
  const { type, raw } = token
  switch (type) {
    case 'space':
      return []
    case 'hr':
      return [el('hr')]
    case 'heading':
      return [
        el(HEADINGS[Math.min((token as Tokens.Heading).depth, HEADINGS.length) - 1]!, {}, ...inline(token.tokens)),
      ]
    case 'code':
      return [codeBlock((token as Tokens.Code).text, (token as Tokens.Code).lang ?? '')]
    case 'maths':
      // The server escapes what stands outside of code, and so what stands in a formula.
      return [codeBlock(token.text.replace(/\\([!-/:-@[-`{-~])/g, '$1'), 'tex')]
    case 'blockquote':
      return [el('blockquote', {}, ...children(token, loose, depth))]
    case 'list': {
      const list = token as Tokens.List
      const items = list.items.map((item) => el('li', {}, ...children(item, list.loose, depth)))
      return [list.ordered ? el('ol', { start: list.start || 1 }, ...items) : el('ul', {}, ...items)]
    }
    case 'table':
      return [table(token as Tokens.Table)]
    case 'paragraph':
      return [el('p', {}, ...inline(token.tokens))]
    case 'text':
      return loose ? [el('p', {}, ...inline(token.tokens))] : inline(token.tokens)
    case 'checkbox':
      return [checkbox(token as Tokens.Checkbox)]
    default:
      return [el('p', {}, raw)]
  }
}

function children({ tokens = [] }: Tokens.Generic, loose: boolean, depth: number): (Node | string)[] {
  return tokens.flatMap((child) => block(child, loose, depth + 1))
}

function inline(tokens: Token[] = [], depth = 0): (Node | string)[] {
  return tokens.flatMap((token): (Node | string)[] => {
    const words = () => (depth > DEEPEST ? [token.raw] : inline((token as Tokens.Generic).tokens, depth + 1))
    switch (token.type) {
      case 'text':
        return marked((token as Tokens.Text).text)
      case 'escape':
        return [(token as Tokens.Escape).text]
      case 'strong':
      case 'em':
      case 'del':
        return [el(token.type, {}, ...words())]
      case 'codespan':
        return [el('code', {}, (token as Tokens.Codespan).text)]
      case 'br':
        return [el('br')]
      case 'link': {
        const { href, text } = token as Tokens.Link
        return /^\d{1,3}$/.test(text) ? marked(`[${text}]`) : [el('a', { href }, ...words())]
      }
      case 'image':
        return [(token as Tokens.Image).text]
      case 'checkbox':
        return [checkbox(token as Tokens.Checkbox)]
      default:
        return [token.raw]
    }
  })
}

/** Markers become `sup`, which nothing else does. */
function marked(text: string): (Node | string)[] {
  return text
    .split(MARKER)
    .map((part, at) => (at % 2 ? el('sup', {}, part) : part))
    .filter((part) => part !== '')
}

function codeBlock(text: string, info: string): HTMLElement {
  const pre = el('pre', {}, el('code', {}, text))
  const [language = ''] = info.split(/[\s{]/)
  languages.set(pre, /title=["']([^"']+)/.exec(info)?.[1] ?? language)
  return pre
}

const languages = new WeakMap<Element, string>()

function table({ header, rows }: Tokens.Table): HTMLElement {
  const row = (cells: Tokens.TableCell[]) =>
    el('tr', {}, ...cells.map((cell) => el(cell.header ? 'th' : 'td', {}, ...inline(cell.tokens))))
  return el('table', {}, el('thead', {}, row(header)), el('tbody', {}, ...rows.map(row)))
}

function checkbox({ checked }: Tokens.Checkbox): string {
  return checked ? '\u2611 ' : '\u2610 '
}

// The second look -----------------------------------------------------------------------------------------

function purify(holder: HTMLElement): void {
  if (!purifies) {
    purifies = true
    DOMPurify.setConfig({
      IN_PLACE: true,
      ALLOWED_TAGS: TAGS.split(' '),
      ALLOWED_ATTR: ['href', 'start'],
      ADD_URI_SAFE_ATTR: ['start'],
      ALLOWED_URI_REGEXP: /^(?:https?:\/\/|\/(?!\/)|#)/i,
      ALLOW_DATA_ATTR: false,
      ALLOW_ARIA_ATTR: false,
      // No string is parsed, so no policy is needed, and none asked for.
      TRUSTED_TYPES_POLICY: null as never,
    })
  }
  DOMPurify.sanitize(holder)
}

// Our own parts -------------------------------------------------------------------------------------------

function dress(holder: HTMLElement, rules: Rules): void {
  for (const anchor of holder.querySelectorAll('a')) {
    const link = rules.link(anchor.getAttribute('href') ?? '')
    link?.append(...anchor.childNodes)
    anchor.replaceWith(...(link ? [link] : anchor.childNodes))
  }
  for (const mark of holder.querySelectorAll('sup')) {
    const chip = rules.chip(Number(mark.textContent))
    const before = mark.previousSibling
    // A number never begins a line.
    if (chip && before instanceof Text) before.data = before.data.replace(/[ \n]$/, '\u00a0')
    mark.replaceWith(chip ?? `[${mark.textContent}]`)
  }
  for (const pre of holder.querySelectorAll('pre')) {
    const frame = el('div', { class: 'code' })
    pre.replaceWith(frame)
    frame.append(rules.codeHead(languages.get(pre) ?? ''), pre)
    pre.tabIndex = 0
    pre.dir = 'ltr'
  }
  for (const table of holder.querySelectorAll('table')) {
    const wide = el('div', { class: 'wide', tabindex: 0 })
    table.replaceWith(wide)
    wide.append(table)
  }
  for (const paragraph of holder.querySelectorAll('p')) {
    const [only, more] = paragraph.childNodes
    if (only?.nodeName === 'STRONG' && !more)
      paragraph.className = 'label' // of the tab or admonition that follows
    else if (
      ![...paragraph.childNodes].some((node) => (node.nodeName === '#text' ? node.textContent!.trim() : !isChip(node)))
    )
      paragraph.className = 'markers'
  }
}

function isChip(node: Node): boolean {
  return node instanceof Element && node.classList.contains('chip')
}
