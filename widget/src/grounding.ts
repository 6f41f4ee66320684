// Where the server's offsets lie on the page: sentences that no passage bears out, and code from the book or not.

import type { Block } from './prose.js'
import { unitsOf } from './text.js'
import { el } from './view/dom.js'
import type { Grounding } from './wire.js'

const REACH = 200

/**
 * For each character of `shown`, where it stands in `source`, which is the same text with its Markdown. Marks are
 * skipped. A character that is not found near by stands where the last one did.
 */
export function align(source: string, shown: string): number[] {
  let at = 0
  return [...unitsIn(shown)].map((unit) => {
    const found = /\s/.test(unit) ? (/\s/.test(source[at] ?? '') ? at : -1) : source.indexOf(unit, at)
    if (found < 0 || found - at > REACH) return Math.max(0, at - 1)
    at = found + 1
    return found
  })
}

function* unitsIn(text: string): Generator<string> {
  for (let at = 0; at < text.length; at++) yield text[at]!
}

export interface Labels {
  unsupported: string
  verbatim: string
  adapted: string
}

/** Marks what `grounding` names in blocks that are drawn and final: each step is a block. */
export function* markGrounding(
  text: string,
  blocks: readonly Block[],
  grounding: Grounding,
  labels: Labels,
): Generator<void, void, void> {
  const { unsupported, code } = grounding
  if (!unsupported.length && !code.length) return
  const edges = unitsOf(
    text,
    [...unsupported, ...code].flatMap(({ start, end }) => [start, end]),
  )
  const spans = unsupported.map((_, at) => [edges[2 * at]!, edges[2 * at + 1]!] as const)
  const fences = code.map(({ verbatim }, at) => {
    const first = 2 * (unsupported.length + at)
    return { verbatim, from: edges[first]!, to: edges[first + 1]! }
  })
  for (const block of blocks) {
    const end = block.start + block.raw.length
    const here = spans.filter(([from, to]) => from < end && to > block.start)
    const codeHere = fences.filter(({ from, to }) => from < end && to > block.start)
    if (!here.length && !codeHere.length) continue
    const nodes = block.nodes.flatMap(textsIn)
    const places = align(block.raw, nodes.map(({ data }) => data).join(''))
    let passed = 0
    for (const node of nodes) {
      const at = places.slice(passed, passed + node.length).map((place) => place + block.start)
      passed += node.length
      const frame = node.parentElement?.closest('.code')
      if (frame) {
        const fence = codeHere.find(({ from, to }) => at[0]! >= from && at[0]! < to)
        if (fence) labelCode(frame, fence.verbatim ? labels.verbatim : labels.adapted, fence.verbatim)
      } else markSpans(node, at, here, labels.unsupported)
    }
    yield
  }
}

/** The texts of an answer, without those that are ours: chips and the heads of code. */
function textsIn(root: Node): Text[] {
  const ours = (node: Node) => node instanceof Element && node.matches('.chip, .code-head')
  if (root instanceof Text) return [root]
  return ours(root) ? [] : [...root.childNodes].flatMap(textsIn)
}

function markSpans(node: Text, at: number[], spans: (readonly [number, number])[], title: string): void {
  const within = (place: number) => spans.some(([from, to]) => place >= from && place < to)
  let end = at.length
  while (end > 0) {
    let start = end - 1
    const marked = within(at[start]!)
    while (start > 0 && within(at[start - 1]!) === marked) start--
    if (marked) {
      const piece = node.splitText(start)
      if (piece.length > end - start) piece.splitText(end - start)
      const span = el('span', { class: 'unsupported', role: 'mark', title, 'aria-description': title })
      piece.replaceWith(span)
      span.append(piece)
    }
    end = start
  }
}

function labelCode(frame: Element, label: string, verbatim: boolean): void {
  const origin = frame.querySelector('.origin')
  if (!origin || origin.textContent) return
  origin.textContent = label
  origin.classList.toggle('adapted', !verbatim)
}
