// Citations: the chip in the text, the list below, the closest pages. The only place where a link is made.

import { destinationOf, type Here } from '../links.js'
import type { Strings } from '../strings/strings.js'
import { fill } from '../text.js'
import type { Citation, Place } from '../wire.js'
import { el } from './dom.js'

/** A link to a place of the book; mere text where the address is not one to follow. Clicks are the panel's affair. */
export function linkTo(
  { url, title }: Place,
  passageId: string,
  here: Here,
  attributes: Record<string, string | number | null>,
): HTMLElement {
  const destination = destinationOf(url, passageId, here)
  if (!destination) return el('span', { tabindex: 0, ...attributes })
  const foreign = destination.path ? {} : { target: '_blank', rel: 'noopener noreferrer' }
  return el('a', {
    href: destination.href,
    'data-go': destination.path,
    'data-title': title,
    ...foreign,
    ...attributes,
  })
}

/** The number in the text; without a citation while only the marker has arrived. */
export function chip(number: number, citation: Citation | undefined, here: Here, say: Strings): HTMLElement {
  if (!citation) return el('span', { class: 'chip' }, String(number))
  const link = linkTo(citation, citation.passage_id, here, {
    class: 'chip',
    'data-number': number,
    'aria-label': fill(say.source, { n: number, title: citation.title }),
    'aria-description': citation.quote,
  })
  link.append(String(number))
  return link
}

export function sourceList(citations: readonly Citation[], here: Here, heading: string): HTMLElement {
  const items = citations.map((citation) => {
    const { number, quote, passage_id: id } = citation
    const link = linkTo(citation, id, here, { class: 'place', 'data-number': number })
    link.append(...placeOf(citation))
    return el(
      'li',
      {},
      el('span', { class: 'number', 'aria-hidden': 'true' }, String(number)),
      el('div', {}, link, quoted(quote)),
    )
  })
  return list(heading, 'sources', el('ol', {}, ...items))
}

export function nearestList(nearest: readonly Place[], here: Here, heading: string): HTMLElement {
  const items = nearest.map((place) => {
    const link = linkTo(place, '', here, { class: 'place' })
    link.append(...placeOf(place))
    return el('li', {}, link)
  })
  return list(heading, 'nearest', el('ul', {}, ...items))
}

function list(label: string, kind: string, items: HTMLElement): HTMLElement {
  return el('div', { class: `places ${kind}` }, el('h4', {}, label), items)
}

export function placeOf({ heading_path: path, title }: Place): (Node | string)[] {
  const last = el('bdi', { class: 'leaf' }, path.at(-1) ?? title)
  const above = path.slice(0, -1)
  return above.length ? [el('span', { class: 'above' }, el('bdi', {}, above.join(' \u203a '))), last] : [last]
}

/** The book's words: inline code as code, and the cells of a row side by side. */
export function quoted(quote: string): HTMLElement {
  const row = /^\|(.+)\|$/.exec(quote)
  const text = row
    ? row[1]!
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim())
        .join(' \u00b7 ')
    : quote
  const parts = text.split(/(`[^`\n]+`)/).map((part, at) => (at % 2 ? el('code', {}, part.slice(1, -1)) : part))
  return el('blockquote', { dir: 'auto' }, ...parts)
}

/** A sentence of the server, with the command that mends things set as code. */
export function withCommand(sentence: string): (Node | string)[] {
  const parts = sentence.split(/(\baskbook [a-z]+(?: [A-Z]+| --[a-z]+)*)/)
  return parts.map((part, at) => (at % 2 ? el('code', { dir: 'ltr' }, part) : part))
}
