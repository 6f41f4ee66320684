// The card beside a chip: where the passage is, and its words. For pointer and focus alike; the pointer may enter it.

import { beside } from '../position.js'
import type { Here } from '../links.js'
import type { Strings } from '../strings/strings.js'
import type { Citation } from '../wire.js'
import { el } from './dom.js'
import { linkTo, placeOf, quoted } from './sources.js'

const LINGER = 180

export interface Popover {
  readonly shown: Element | null
  show(chip: Element): void
  /** Whether there was one to close. */
  close(): boolean
}

export function popoverIn(
  panel: HTMLElement,
  area: HTMLElement,
  citationOf: (chip: Element) => Citation | undefined,
  here: () => Here,
  say: Strings,
): Popover {
  const card = el('div', { class: 'card', hidden: true })
  panel.append(card)
  let shown: Element | null = null
  let leaving = 0

  const show = (chip: Element) => {
    clearTimeout(leaving)
    if (chip === shown) return
    const citation = citationOf(chip)
    if (!citation) return
    shown = chip
    const link = linkTo(citation, citation.passage_id, here(), {
      class: 'open',
      'data-number': citation.number,
      tabindex: -1,
    })
    link.append(say.openPassage)
    card.replaceChildren(el('p', { class: 'place' }, ...placeOf(citation)), quoted(citation.quote), link)
    card.dataset.turn = chip.closest<HTMLElement>('[data-turn]')?.dataset.turn ?? ''
    card.hidden = false
    place(chip)
  }
  const place = (chip: Element) => {
    const { left, top } = beside(within(chip), card.getBoundingClientRect(), bounds())
    card.style.left = `${left}px`
    card.style.top = `${top}px`
  }
  const close = () => {
    clearTimeout(leaving)
    const was = shown !== null
    shown = null
    card.hidden = true
    return was
  }
  const closeSoon = () => {
    clearTimeout(leaving)
    leaving = window.setTimeout(close, LINGER)
  }
  /** In the panel's own coordinates: a panel may be anything that scrolls or moves. */
  const within = (element: Element) => {
    const { left, top } = panel.getBoundingClientRect()
    const box = element.getClientRects()[0] ?? element.getBoundingClientRect()
    return {
      left: box.left - left - panel.clientLeft,
      top: box.top - top - panel.clientTop,
      width: box.width,
      height: box.height,
    }
  }
  const bounds = () => ({ left: 0, top: 0, width: panel.clientWidth, height: panel.clientHeight })
  const chipAt = (event: Event) => (event.target as Element).closest('.chip[data-number]')

  area.addEventListener('pointerover', (event) => {
    const chip = chipAt(event)
    if (chip && event.pointerType !== 'touch') show(chip)
    else if (shown && !shown.matches(':focus-visible')) closeSoon()
  })
  area.addEventListener('pointerleave', closeSoon)
  area.addEventListener('focusin', (event) => {
    const chip = chipAt(event)
    if (chip?.matches(':focus-visible')) show(chip)
    else if (!chip) close()
  })
  area.addEventListener('focusout', closeSoon)
  area.addEventListener(
    'scroll',
    () => {
      if (shown?.matches(':hover, :focus-visible')) place(shown)
      else close()
    },
    { passive: true },
  )
  card.addEventListener('pointerenter', () => clearTimeout(leaving))
  card.addEventListener('pointerleave', closeSoon)
  return {
    get shown() {
      return shown
    },
    show,
    close,
  }
}
