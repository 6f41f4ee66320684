// One question and its answer: draws what the state says, and only what has changed.

import { samePlace, type Here } from '../links.js'
import { Prose } from '../prose.js'
import { isRunning, type Turn } from '../state.js'
import type { Strings } from '../strings/strings.js'
import { fill } from '../text.js'
import type { Citation } from '../wire.js'
import { el, setAll } from './dom.js'
import { chip, linkTo, withCommand } from './sources.js'
import { notesOf, statusOf, wordsOf, type WayForward } from './words.js'

/** What all turns of a panel share. */
export interface Surroundings {
  say: Strings
  language: string
  here(): Here
  online(): boolean
}

/** Stands for a chip that is not read out, and goes together with the space before it. */
const CHIP = '\ufffc'
const BEFORE_CHIP = /\s*\ufffc/g

export class TurnView {
  readonly element: HTMLElement
  #turn: Turn
  #scope: HTMLElement
  #status = el('p', { class: 'status' })
  #above = el('div', { class: 'notes' })
  #answer = el('div', { class: 'prose', dir: 'auto' })
  #below = el('div', { class: 'notes' })
  #after = el('div', { class: 'after' })
  #prose: Prose
  #frame = 0
  #ticking = 0

  constructor(
    turn: Turn,
    private readonly around: Surroundings,
  ) {
    const { say } = around
    this.#turn = turn
    this.#scope = el('p', { class: 'mode' }, say.onThisPage)
    this.#prose = this.#newProse()
    this.element = el(
      'article',
      { class: 'turn', 'data-turn': turn.key },
      el(
        'div',
        { class: 'asked' },
        turn.selection &&
          el('blockquote', { class: 'selected', dir: 'auto', 'aria-label': say.selection }, turn.selection),
        el('h3', { class: 'question', dir: 'auto' }, turn.question),
        this.#scope,
      ),
      this.#status,
      this.#above,
      this.#answer,
      this.#below,
      this.#after,
    )
    this.#draw(null)
  }

  update(turn: Turn): void {
    if (turn === this.#turn) return
    const before = this.#turn
    this.#turn = turn
    this.#draw(before)
  }

  /** Timers and frames end with the turn. */
  dispose(): void {
    cancelAnimationFrame(this.#frame)
    clearInterval(this.#ticking)
  }

  /** What is read out once the answer is complete: its text without what is only there to be clicked. */
  spoken(): string {
    const copy = this.element.cloneNode(true) as HTMLElement
    for (const part of copy.querySelectorAll('.asked, .code-head, .places, .actions, .comment, button')) part.remove()
    for (const chip of copy.querySelectorAll('.chip')) chip.replaceWith(CHIP)
    for (const part of copy.querySelectorAll('p, li, th, td, pre, h4, h5, h6')) part.append(' ')
    return copy.textContent!.replace(BEFORE_CHIP, '').replace(/\s+/g, ' ').trim()
  }

  citation(number: number): Citation | undefined {
    return this.#turn.citations.find((citation) => citation.number === number)
  }

  #draw(before: Turn | null): void {
    const turn = this.#turn
    const running = isRunning(turn)
    if (before && isRunning(turn) && !isRunning(before)) this.#clear() // asked again
    const { say } = this.around
    this.#scope.hidden = !turn.pageOnly
    const status = statusOf(turn, say)
    if (this.#status.textContent !== status) this.#status.textContent = status
    this.#status.classList.toggle('working', running)
    setAll(this.element, { 'aria-busy': running && 'true' })
    if (running) {
      if (turn.text !== before?.text || turn.citations !== before.citations) {
        this.#frame ||= requestAnimationFrame(() => this.#write(true))
      }
    } else if (turn.phase !== before?.phase || turn.answer !== before.answer || turn.trouble !== before.trouble) {
      this.#end()
    } else if (turn.feedback !== before.feedback) this.#showFeedback(before)
  }

  #clear(): void {
    this.dispose()
    for (const part of [this.#above, this.#answer, this.#below, this.#after]) part.replaceChildren()
    this.#answer.className = 'prose'
    this.#prose = this.#newProse()
  }

  #newProse(): Prose {
    const { say } = this.around
    return new Prose(
      this.#answer,
      {
        chip: (number) => {
          const citation = this.citation(number)
          return citation || isRunning(this.#turn) ? chip(number, citation, this.around.here(), say) : null
        },
        link: (href) => this.#linkOf(href),
        codeHead: (language) =>
          el(
            'div',
            { class: 'code-head' },
            language ? el('span', { class: 'language' }, language) : null,
            el('span', { class: 'origin' }),
            el('button', { type: 'button', class: 'text-button', 'data-do': 'copyCode' }, say.copy),
          ),
      },
      (number) => Boolean(this.citation(number)),
    )
  }

  /** Only places the server itself has named. */
  #linkOf(href: string): HTMLElement | null {
    const { citations, sources, answer } = this.#turn
    const here = this.around.here()
    const place = [...citations, ...sources, ...(answer?.nearest ?? [])].find(({ url }) =>
      samePlace(url, href, here.href),
    )
    if (!place) return null
    return linkTo(place, '', here, { 'data-number': 'number' in place ? Number(place.number) : null })
  }

  #write(unfinished: boolean): void {
    cancelAnimationFrame(this.#frame)
    this.#frame = 0
    this.#prose.write(this.#turn.text, unfinished)
  }

  #end(): void {
    const { answer, phase } = this.#turn
    this.dispose()
    this.#after.replaceChildren()
    if (answer?.state === 'not_in_docs') this.#showNothingFound()
    else this.#write(false)
    if (phase === 'failed') this.#showTrouble()
    else if (answer) this.#showAnswer()
    else this.#after.append(el('p', { class: 'ways' }, this.#way('retry')))
  }

  #showNothingFound(): void {
    const { say } = this.around
    this.#answer.replaceChildren(el('p', { class: 'verdict' }, say.notInBook), el('p', {}, say.notInBookMore))
  }

  #showAnswer(): void {
    const turn = this.#turn
    const { say, here } = this.around
    const { above, below } = notesOf(turn.answer!, say)
    this.#above.replaceChildren(...above.map(note))
    this.#below.replaceChildren(...below.map(note))
    void import('../later.js').then(({ showAnswer }) => {
      if (this.#turn.answer !== turn.answer) return
      showAnswer({
        answer: turn.answer!,
        feedback: this.#turn.feedback,
        prose: this.#answer,
        blocks: this.#prose.blocks,
        after: this.#after,
        here: here(),
        say,
      })
    })
  }

  #showFeedback(before: Turn): void {
    const { feedback } = this.#turn
    this.#after.dataset.rated = 'yes'
    void import('../later.js').then(({ showFeedback }) =>
      showFeedback(this.#after, before.feedback, feedback, this.around.say),
    )
  }

  #showTrouble(): void {
    const { say, online } = this.around
    const { pageOnly } = this.#turn
    const trouble = this.#turn.trouble ?? { code: '', status: 0, detail: '', retryAfter: null }
    const { sentence, detail, ways } = wordsOf(trouble, online(), pageOnly, this.around.language, say)
    this.#after.append(
      el(
        'div',
        { class: 'note trouble', dir: 'auto' },
        el('p', {}, ...withCommand(sentence)),
        detail && el('p', { class: 'detail', dir: 'auto' }, ...withCommand(detail)),
        el('p', { class: 'ways' }, ...ways.map((way) => this.#way(way))),
      ),
    )
    if (trouble.retryAfter) this.#countDown(trouble.retryAfter)
    const search = this.#after.querySelector('[data-do=search]')
    if (search)
      void import('../later.js').then(
        ({ canSearchSite }) => canSearchSite() || search.remove(),
        () => search.remove(),
      )
  }

  #way(way: WayForward): HTMLElement {
    const { say } = this.around
    const labels: Record<WayForward, string> = {
      retry: say.retry,
      reword: say.reword,
      askBook: say.askBook,
      search: say.siteSearch,
    }
    return el('button', { type: 'button', class: 'quiet-button', 'data-do': way }, labels[way])
  }

  /** The server has said when it may be asked again. */
  #countDown(seconds: number): void {
    const button = this.#after.querySelector<HTMLButtonElement>('[data-do=retry]')
    if (!button) return
    const until = Date.now() + seconds * 1000
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000)
      button.disabled = left > 0
      button.textContent = left > 0 ? fill(this.around.say.retryIn, { n: left }) : this.around.say.retry
      if (left <= 0) clearInterval(this.#ticking)
    }
    this.#ticking = window.setInterval(tick, 1000)
    tick()
  }
}

function note(sentence: string): HTMLElement {
  return el('p', { dir: 'auto' }, ...withCommand(sentence))
}
