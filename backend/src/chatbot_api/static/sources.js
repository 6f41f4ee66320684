// Citations: the chip in the text, the card it opens, the list below. The only place where a link is made.

import { el } from './dom.js'

/** Where a citation or page leads: the published page, or the text out of the index where there is none. Else ''. */
export function hrefOf(url, passageId = '') {
  if (url.startsWith('/')) {
    const [path, ...hash] = url.split('#')
    const passage = passageId && `?passage=${encodeURIComponent(passageId)}`
    return `/read${path}${passage}${hash.length ? `#${hash.join('#')}` : ''}`
  }
  return /^https?:\/\//i.test(url) && URL.canParse(url) ? url : ''
}

/** A link in a new tab, so that the conversation stays; mere text where the address is not one to follow. */
function link(href, attributes, ...children) {
  if (!href) return el('span', attributes, ...children)
  return el('a', { ...attributes, href, target: '_blank', rel: 'noopener noreferrer' }, ...children)
}

/** The number in the text; `citation` is undefined for as long as only the marker has arrived. */
export function chip(number, citation) {
  if (!citation) return el('span', { class: 'chip' }, String(number))
  const { url, passage_id: id, title, quote } = citation
  const described = { 'aria-label': `Source ${number}: ${title}`, 'aria-description': quote }
  return link(hrefOf(url, id), { class: 'chip', 'data-source': number, ...described }, String(number))
}

export function sourceList(citations) {
  const items = citations.map(({ number, title, heading_path: path, url, passage_id: id, quote }) =>
    el('li', {},
      el('span', { class: 'number', 'aria-hidden': 'true' }, String(number)),
      el('div', {},
        link(hrefOf(url, id), { class: 'place' }, ...placeOf(path, title)),
        el('blockquote', { dir: 'auto' }, ...quoted(quote)))))
  return el('section', { class: 'sources', 'aria-label': 'Sources' },
    el('h3', {}, items.length === 1 ? 'Source' : 'Sources'), el('ol', {}, ...items))
}

export function nearestList(nearest) {
  const items = nearest.map(({ title, heading_path: path, url }) =>
    el('li', {}, link(hrefOf(url), { class: 'place' }, ...placeOf(path, title))))
  return el('section', { class: 'sources nearest', 'aria-label': 'Nearest pages' },
    el('h3', {}, items.length === 1 ? 'The nearest page' : 'The nearest pages'), el('ul', {}, ...items))
}

function placeOf(path, title) {
  const last = path.at(-1) ?? title
  const above = path.slice(0, -1)
  return above.length ? [el('span', { class: 'above' }, `${above.join(' › ')} › `), last] : [last]
}

/** The book's words, inline code as code and the cells of a row side by side. */
function quoted(quote) {
  const row = /^\|(.+)\|$/.exec(quote)
  const text = row ? row[1].split(/(?<!\\)\|/).map((cell) => cell.trim()).join(' · ') : quote
  return text.split(/(`[^`\n]+`)/).map((part) => (/^`.+`$/.test(part) ? el('code', {}, part.slice(1, -1)) : part))
}

/** Shows `citationOf(chip)` beside a chip that is pointed at or focused. Escape closes it; the pointer may enter it. */
export function showCards(area, card, citationOf) {
  let shown = null
  let leaving = 0

  const open = (chip) => {
    clearTimeout(leaving)
    const citation = citationOf(chip)
    if (!citation || chip === shown) return
    shown = chip
    card.replaceChildren(
      el('p', { class: 'place' }, ...placeOf(citation.heading_path, citation.title)),
      el('blockquote', { dir: 'auto' }, ...quoted(citation.quote)))
    card.hidden = false
    const edge = document.documentElement
    const at = chip.getBoundingClientRect()
    const { width, height } = card.getBoundingClientRect()
    const fitsBelow = at.bottom + height + 8 < edge.clientHeight
    const top = fitsBelow || at.top < height + 8 ? at.bottom + 6 : at.top - height - 6
    card.style.left = `${scrollX + Math.max(8, Math.min(at.left - 12, edge.clientWidth - width - 8))}px`
    card.style.top = `${scrollY + top}px`
  }
  const close = () => {
    clearTimeout(leaving)
    shown = null
    card.hidden = true
  }
  const closeSoon = () => {
    clearTimeout(leaving)
    leaving = setTimeout(close, 150)
  }
  const chipAt = (event) => event.target.closest?.('.chip[data-source]')

  area.addEventListener('pointerover', (event) => {
    const chip = chipAt(event)
    if (chip && event.pointerType !== 'touch') open(chip)
    else if (shown && shown !== document.activeElement) closeSoon()
  })
  area.addEventListener('pointerleave', closeSoon)
  area.addEventListener('focusin', (event) => (chipAt(event) ? open(chipAt(event)) : close()))
  area.addEventListener('focusout', close)
  card.addEventListener('pointerenter', () => clearTimeout(leaving))
  card.addEventListener('pointerleave', closeSoon)
  document.addEventListener('keydown', (event) => event.key === 'Escape' && close())
  return close
}
