// The field, what is asked about, and where to look.

import type { Strings } from '../strings/strings.js'
import { fill, lengthInPoints } from '../text.js'
import { el, icon, setAll } from './dom.js'
import { CLOSE, QUOTE, SEND, STOP } from './icons.js'

export interface ComposerState {
  running: boolean
  selection: string
  /** Whether there is a page that can be asked by itself. */
  hasPage: boolean
  pageOnly: boolean
  followUp: boolean
}

export interface Composer {
  element: HTMLFormElement
  field: HTMLTextAreaElement
  show(state: ComposerState): void
  /** Puts words into the field. */
  fill(text: string): void
}

export function composerFor(
  say: Strings,
  longest: () => number,
  on: { ask(question: string): void; stop(): void; scope(pageOnly: boolean): void },
): Composer {
  const field = el('textarea', {
    rows: 1,
    dir: 'auto',
    'aria-label': say.question,
    enterkeyhint: 'send',
    autocomplete: 'off',
  })
  const hint = el('p', { class: 'hint', role: 'status', hidden: true })
  const words = el('span', { dir: 'auto' })
  const selection = el(
    'div',
    { class: 'selection', hidden: true, role: 'group', 'aria-label': say.selection },
    icon(QUOTE),
    words,
    el(
      'button',
      {
        type: 'button',
        class: 'icon-button',
        'data-do': 'unselect',
        'aria-label': say.removeSelection,
        title: say.removeSelection,
      },
      icon(CLOSE),
    ),
  )
  const choice = (name: string, label: string) => {
    const radio = el('input', { type: 'radio', name: 'where', value: name })
    radio.addEventListener('change', () => on.scope(name === 'page'))
    return { radio, label: el('label', {}, radio, el('span', {}, label)) }
  }
  const [book, page] = [choice('book', say.wholeBook), choice('page', say.thisPage)]
  const where = el('fieldset', { class: 'where', 'aria-label': say.where }, book.label, page.label)
  const send = el('button', { class: 'send' })
  const element = el('form', { class: 'composer' }, selection, hint, field, el('div', { class: 'row' }, where, send))
  let running = false
  let shown = ''

  const fit = () => {
    if (CSS.supports('field-sizing', 'content')) return
    field.style.height = 'auto'
    field.style.height = `${field.scrollHeight}px`
  }
  const submit = () => {
    const question = field.value.trim()
    if (!question) return field.focus()
    const over = lengthInPoints(question) - longest()
    hint.hidden = over <= 0
    if (over > 0) {
      hint.textContent = fill(say.tooLong, { n: over })
      return field.focus()
    }
    field.value = ''
    fit()
    on.ask(question)
  }
  element.addEventListener('submit', (event) => {
    event.preventDefault()
    if (running) on.stop()
    else submit()
  })
  send.addEventListener('click', (event) => {
    if (event.detail > 1) event.preventDefault() // the second click of two would stop what the first began
  })
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return
    event.preventDefault()
    if (!running) submit()
  })
  field.addEventListener('input', () => {
    hint.hidden = true
    fit()
  })
  // The whole box is the field's.
  element.addEventListener('pointerup', (event) => {
    if (event.target === element || event.target === element.lastChild) field.focus()
  })

  return {
    element,
    field,
    show(state) {
      const wanted = JSON.stringify(state)
      if (wanted === shown) return
      shown = wanted
      running = state.running
      const label = running ? say.stop : say.send
      if (send.getAttribute('aria-label') !== label) {
        setAll(send, { 'aria-label': label, title: label })
        send.replaceChildren(icon(running ? STOP : SEND))
      }
      send.classList.toggle('stop', running)
      field.placeholder = state.followUp ? say.followUp : say.placeholder
      words.textContent = state.selection
      selection.hidden = !state.selection
      where.hidden = !state.hasPage
      page.radio.checked = state.pageOnly
      book.radio.checked = !state.pageOnly
    },
    fill(text) {
      field.value = text
      fit()
    },
  }
}
