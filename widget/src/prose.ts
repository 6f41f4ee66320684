// An answer on the page while it is being written. Finished blocks are left alone; the last two may still change.

import type { Token, Tokens } from 'marked'

import { blocksOf, draw, type Rules } from './markdown.js'
import { morph } from './view/dom.js'

export interface Block {
  raw: string
  /** Where it begins in the text. */
  start: number
  /** Which of its markers were known when it was drawn. */
  known: string
  nodes: ChildNode[]
  /** Of a list: its kind, and what its items are made of. */
  kind: string
  items: string[]
}

export class Prose {
  #blocks: Block[] = []
  #settled = '' // the text of blocks that nothing later can change
  #settledBlocks = 0

  constructor(
    private readonly root: HTMLElement,
    private readonly rules: Rules,
    private readonly isKnown: (number: number) => boolean,
  ) {}

  get blocks(): readonly Block[] {
    return this.#blocks
  }

  write(text: string, unfinished: boolean): void {
    if (!text.startsWith(this.#settled)) this.#unsettle()
    const rest = text.slice(this.#settled.length)
    const tokens = blocksOf(unfinished ? mended(rest) : rest)
    let at = this.#settledBlocks
    let start = this.#settled.length
    for (const token of tokens) {
      if (token.type !== 'space') {
        const known = this.#known(token.raw, unfinished)
        const has = this.#blocks[at]
        if (has?.raw !== token.raw || has.known !== known) {
          const { kind, items } = this.#itemsOf(token, unfinished)
          const nodes =
            has && kind && kind === has.kind ? this.#goOn(has, items, token) : this.#place(at, draw(token, this.rules))
          this.#blocks[at] = { raw: token.raw, start, known, nodes, kind, items }
        } else has.start = start
        at++
      }
      start += token.raw.length
    }
    for (const surplus of this.#blocks.splice(at)) for (const node of surplus.nodes) node.remove()
    for (const block of this.#blocks.slice(0, this.#settledBlocks)) this.#recheck(block, unfinished)
    if (unfinished) this.#settle(text)
  }

  /** The next block may yet turn out to belong to the one before it, so that one stays open, too. */
  #settle(text: string): void {
    const open = this.#blocks.at(-2)
    if (!open || this.#blocks.length - 2 <= this.#settledBlocks) return
    const before = this.#blocks[this.#blocks.length - 3]!
    if (!text.slice(0, open.start).trimEnd().endsWith(before.raw.trimEnd())) return
    this.#settled = text.slice(0, open.start)
    this.#settledBlocks = this.#blocks.length - 2
  }

  #unsettle(): void {
    this.#settled = ''
    this.#settledBlocks = 0
  }

  #place(at: number, fresh: ChildNode[]): ChildNode[] {
    const old = this.#blocks[at]?.nodes ?? []
    if (old.length === 1 && fresh.length === 1) return [morph(old[0]!, fresh[0]!)]
    const next = this.#blocks.slice(at + 1).find(({ nodes }) => nodes.length)?.nodes[0] ?? null
    for (const node of old) node.remove()
    for (const node of fresh) this.root.insertBefore(node, next)
    return fresh
  }

  #itemsOf(token: Token, unfinished: boolean): Pick<Block, 'kind' | 'items'> {
    if (token.type !== 'list') return { kind: '', items: [] }
    const { items, loose, ordered, start } = token as Tokens.List
    return {
      kind: `list ${ordered} ${start} ${loose}`,
      items: items.map(({ raw }) => raw.trimEnd() + this.#known(raw, unfinished)),
    }
  }

  /** A list may be long: only the items that have changed are drawn. */
  #goOn(block: Block, items: string[], token: Token): ChildNode[] {
    const list = block.nodes[0] as Element
    const same = items.findIndex((item, at) => item !== block.items[at])
    const changed = { ...token, items: (token as Tokens.List).items.slice(same < 0 ? items.length : same) } as Token
    const [drawn] = draw(changed, this.rules)
    const old = [...list.children].slice(same < 0 ? items.length : same)
    const fresh = [...(drawn as Element).children]
    for (const surplus of old.slice(fresh.length)) surplus.remove()
    fresh.forEach((item, at) => (old[at] ? morph(old[at], item) : list.append(item)))
    return block.nodes
  }

  /** A citation may come after the block that holds its marker. */
  #recheck(block: Block, unfinished: boolean): void {
    if (block.known === this.#known(block.raw, unfinished)) return
    const [token] = blocksOf(block.raw)
    const at = this.#blocks.indexOf(block)
    block.known = this.#known(block.raw, unfinished)
    if (token) block.nodes = this.#place(at, draw(token, this.rules))
  }

  #known(raw: string, unfinished: boolean): string {
    const numbers = raw.match(/\[\d{1,3}\]/g) ?? []
    return numbers.map((marker) => (this.isKnown(Number(marker.slice(1, -1))) ? '+' : unfinished ? '?' : '-')).join('')
  }
}

/** What is open at the end is shown as if it were closed, so that no mark flashes up and goes again. */
export function mended(text: string): string {
  const fences = text.match(/^ {0,3}(?:`{3,}|~{3,})/gm)?.length ?? 0
  if (fences % 2) return text.replace(/\n {0,3}(?:`{1,3}|~{1,3})$/, '')
  const begun = text
    .replace(/(^|\n)[ \t]*(?:[-*+>#]+|\d{1,9}[.)]?|`{1,2}|~{1,2})[ \t]*$/, '$1') // a block's mark without its words
    .replace(/(?:\[\d{0,3}|[*_~`]+|\\)$/, '')
  const from = begun.lastIndexOf('\n\n') + 1
  const last = begun.slice(from)
  if (/^\n?\|/.test(last)) return begun.slice(0, from) + mendedTable(last)
  const bare = last
    .replace(/^[ \t]*[*+-] /gm, '')
    .replace(/(`+)[^`]+\1/g, '')
    .replace(/\\./g, '')
  if (bare.includes('`')) return `${begun}\``
  const strong = count(bare, /\*\*/g)
  const em = count(bare.replace(/\*\*/g, ''), /\*/g)
  if (!(strong % 2) && !(em % 2)) return begun
  return begun.trimEnd() + (em % 2 ? '*' : '') + (strong % 2 ? '**' : '')
}

/** A table is one from its first line on. */
function mendedTable(table: string): string {
  const [head = '', delimiters, ...rows] = table.replace(/^\n/, '').split('\n')
  if (rows.length) return table
  const columns = Math.max(1, head.replace(/^\||\|\s*$/g, '').split('|').length)
  return delimiters === undefined || /^[|\s:-]*$/.test(delimiters) ? `\n${head}\n${'|-'.repeat(columns)}|` : table
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0
}
