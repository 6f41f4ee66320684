// One question and its answer on the page: draws what the events say, in plain words.

import { announce, copy, el, morph } from './dom.js'
import { render } from './markdown.js'
import { chip, nearestList, sourceList } from './sources.js'

const NOT_IN_DOCS = 'The book does not seem to answer that.'

export class Turn {
  /** `retry` asks the same again, `reword` puts the question back into the field. */
  constructor(question, { retry, reword }) {
    this.question = question
    this.citations = new Map()
    this.element = el('article', { class: 'turn' })
    this.#retry = retry
    this.#reword = reword
    this.#status = el('p', { class: 'status' })
    this.#answer = el('div', { class: 'answer prose', dir: 'auto' })
    this.#after = el('div', { class: 'after' })
    this.element.append(
      el('h2', { class: 'question', dir: 'auto' }, question), this.#status, this.#answer, this.#after)
    this.element.addEventListener('click', (event) => this.#clicked(event.target))
  }

  #retry
  #reword
  #status
  #answer
  #after
  #text = ''
  #found = ''
  #frame = 0

  begin() {
    this.#text = ''
    this.#found = ''
    this.citations.clear()
    this.#answer.replaceChildren()
    this.#answer.classList.remove('quoted')
    this.#after.replaceChildren()
    this.#say('Searching the book', 'working')
    this.element.setAttribute('aria-busy', 'true')
  }

  /** What an event of the stream changes; unknown ones change nothing. */
  on(name, told) {
    if (name === 'sources') {
      const passages = told.sources.length
      const pages = new Set(told.sources.map(({ title }) => title)).size
      this.#found = `${count(passages, 'passage')} of ${count(pages, 'page')}`
      this.#say(`Reading ${this.#found}`, 'working')
    } else if (name === 'progress' && told.step === 'writing') {
      this.#say(this.#found ? `Writing from ${this.#found}` : 'Writing', 'working')
    } else if (name === 'delta') {
      this.#text += told.text
      this.#frame ||= requestAnimationFrame(() => this.#draw(true))
    } else if (name === 'citation') {
      this.citations.set(told.number, told)
      this.#frame ||= requestAnimationFrame(() => this.#draw(true))
    } else if (name === 'done') this.#finish(told)
  }

  fail(failure) {
    const mend = failure.mend
    this.#end(this.#text ? 'This answer is not complete.' : 'No answer came.')
    this.#after.replaceChildren(
      el('div', { class: 'note wrong' },
        el('p', {}, ...withCommand(failure.message)),
        el('button', { type: 'button', class: 'quiet', [mend ? 'data-reword' : 'data-retry']: true },
          mend ? 'Change the question' : 'Try again')))
    announce(failure.message)
  }

  stopped() {
    const sentence = this.#text ? 'Stopped. This answer is not complete.' : 'Stopped before the first word.'
    this.#end(sentence)
    this.#after.replaceChildren(
      el('p', { class: 'actions' }, el('button', { type: 'button', class: 'quiet', 'data-retry': true }, 'Ask again')))
    announce(sentence)
  }

  #finish(told) {
    this.citations = new Map(told.citations.map((citation) => [citation.number, citation]))
    const notInDocs = told.state === 'not_in_docs'
    this.#text = notInDocs ? NOT_IN_DOCS : told.response
    this.#answer.classList.toggle('quoted', !notInDocs && told.mode === 'extractive')
    this.#end(modeOf(told))
    this.#after.replaceChildren()
    if (told.notice) this.#after.append(el('p', { class: 'note' }, ...withCommand(told.notice)))
    if (told.citations.length) this.#after.append(sourceList(told.citations))
    if (told.nearest.length) this.#after.append(nearestList(told.nearest))
    if (!notInDocs) {
      const button = el('button', { type: 'button', class: 'quiet', 'data-copy-answer': true }, 'Copy answer')
      this.#after.append(el('p', { class: 'actions' }, button))
    }
    announce([this.#spoken(), this.#status.textContent, told.notice].filter(Boolean).join(' '))
  }

  #end(sentence) {
    this.#draw(false)
    this.#say(sentence)
    this.element.removeAttribute('aria-busy')
  }

  #draw(unfinished) {
    cancelAnimationFrame(this.#frame)
    this.#frame = 0
    const chipOf = (number) => {
      const citation = this.citations.get(number)
      return citation || unfinished ? chip(number, citation) : null
    }
    morph(this.#answer, render(this.#text, chipOf, { unfinished }))
  }

  #say(sentence, kind = '') {
    this.#status.textContent = sentence
    this.#status.className = `status ${kind}`
  }

  #spoken() {
    const answer = this.#answer.cloneNode(true)
    for (const part of answer.querySelectorAll('button, .chip')) part.remove()
    for (const part of answer.querySelectorAll('p, li, th, td, pre, h3, h4, h5, h6, .code-head')) part.append(' ')
    return answer.textContent.replaceAll('\u00a0', '').trim()
  }

  #clicked(target) {
    const button = target.closest('button')
    if (!button) return
    const { copy: code, copyAnswer, retry, reword } = button.dataset
    if (code !== undefined) copy(button.closest('.code').querySelector('code').textContent, button, 'Copy')
    else if (copyAnswer !== undefined) copy(this.#asText(), button, 'Copy answer')
    else if (retry !== undefined) this.#retry(this)
    else if (reword !== undefined) this.#reword(this)
  }

  #asText() {
    const sources = [...this.citations.values()].map(({ number, title, heading_path: path, url, quote }) => {
      const address = url.startsWith('/') ? '' : `\n    ${url}`
      return `[${number}] ${path.length ? path.join(' > ') : title}: "${quote}"${address}`
    })
    return [this.#text, ...(sources.length ? [`Sources:\n${sources.join('\n')}`] : [])].join('\n\n')
  }
}

/** Who wrote this, and how far it goes. */
function modeOf({ state, mode, citations }) {
  if (state === 'not_in_docs') {
    return mode === 'generated' ? 'A model read the nearest passages and found no answer.' : 'No model was asked.'
  }
  const reach = state === 'partial' ? 'The book answers a part of this. ' : ''
  if (mode === 'extractive') return `${reach}Quoted from the book, no model wrote this.`
  if (mode === 'search') return `${reach}These are pages to look at, no model wrote this.`
  return citations.length
    ? `${reach}Written by a model from the passages below.`
    : `${reach}Written by a model that pointed to no passage: read it with care.`
}

/** A sentence, with the command that mends things set as code. */
export function withCommand(sentence) {
  return sentence.split(/(\baskbook [a-z]+(?: [A-Z]+| --[a-z]+)*)/).map((part, at) => (at % 2 ? el('code', {}, part) : part))
}

export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
