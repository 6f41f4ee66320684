// The panel: its frame, and how a new state gets into it.

import { START, isRunning, type State } from '../state.js'
import type { Citation } from '../wire.js'
import { composerFor, type Composer } from './composer.js'
import { el, icon, setAll } from './dom.js'
import { ANEW, ASK, BACK, CLOSE, GO, PAST } from './icons.js'
import type { Popover } from './popover.js'
import { TurnView, type Surroundings } from './turn.js'

export interface ShellOptions extends Surroundings {
  inline: boolean
  title: string
  longest(): number
  /** Whether the page can be asked by itself. */
  hasPage(): boolean
  ask(question: string): void
  stop(): void
  scope(pageOnly: boolean): void
}

export class Shell {
  readonly panel: HTMLElement
  readonly composer: Composer
  popover: Popover | undefined
  #turns = new Map<number, TurnView>()
  #state: State = START
  #title: HTMLElement
  #past: HTMLButtonElement
  #anew: HTMLButtonElement
  #offline: HTMLElement
  #scroll = el('div', { class: 'scroll' })
  #list = el('div', { class: 'turns' })
  #welcome = el('div', { class: 'welcome' })
  #history = el('div')
  #announcer = el('div', { class: 'unseen', role: 'status', 'aria-live': 'polite' })
  #announcing = 0

  constructor(private readonly options: ShellOptions) {
    const { say, inline, title } = options
    const button = (does: string, label: string, path: string) =>
      el(
        'button',
        { type: 'button', class: 'icon-button', 'data-do': does, 'aria-label': label, title: label },
        icon(path),
      )
    this.#title = el('h2', { id: 'title', dir: 'auto' }, title)
    this.#past = button('history', say.past, PAST)
    this.#anew = button('anew', say.anew, ANEW)
    this.#offline = el('p', { class: 'offline', role: 'status', hidden: true }, say.offline)
    this.composer = composerFor(say, options.longest, options)
    // A dialog that leaves the page alone: on a small screen, where it covers the page, it is opened as a modal one.
    this.panel = el(
      inline ? 'section' : 'dialog',
      {
        class: inline ? 'panel inline' : 'panel',
        part: 'panel',
        lang: options.language, // of its own words, which may not be the page's
        'aria-labelledby': 'title',
      },
      el(
        'header',
        { class: 'bar' },
        icon(ASK),
        this.#title,
        this.#anew,
        this.#past,
        !inline && button('close', say.close, CLOSE),
      ),
      this.#scroll,
      this.#offline,
      this.composer.element,
      this.#announcer,
    )
    this.#scroll.append(this.#history, this.#welcome, this.#list)
    void import('../later.js').then(({ popoverIn }) => {
      this.popover = popoverIn(
        this.panel,
        this.#scroll,
        (chip) => this.#citationOf(chip),
        () => options.here(),
        say,
      )
    })
  }

  showTitle(title: string): void {
    this.#title.textContent = title
  }

  showSuggestions(suggestions: readonly string[]): void {
    const { say } = this.options
    this.#welcome.replaceChildren(
      el('p', { class: 'greeting' }, say.welcome),
      el('p', { class: 'promise' }, say.promise),
      ...(suggestions.length
        ? [
            el(
              'ul',
              { class: 'suggestions', 'aria-label': say.suggestions },
              ...suggestions.map((question) =>
                el(
                  'li',
                  {},
                  el(
                    'button',
                    { type: 'button', 'data-do': 'suggestion', dir: 'auto' },
                    el('span', {}, question),
                    icon(GO),
                  ),
                ),
              ),
            ),
          ]
        : []),
    )
  }

  render(state: State): void {
    const before = this.#state
    this.#state = state
    const inHistory = state.view === 'history'
    const { say } = this.options
    if (state.turns !== before.turns) this.#renderTurns(state, before)
    this.composer.show({
      running: state.turns.some(isRunning),
      selection: state.selection,
      hasPage: this.options.hasPage(),
      pageOnly: state.pageOnly,
      followUp: state.turns.length > 0,
    })
    this.#list.hidden = inHistory
    this.#welcome.hidden = inHistory || state.turns.length > 0 || state.restoring
    this.#history.hidden = !inHistory && !state.restoring
    if (state.restoring) this.#history.replaceChildren(el('p', { class: 'status working' }, say.loading))
    else if (inHistory) this.#renderHistory(state, before)
    else this.#history.replaceChildren()
    this.#offline.hidden = state.online
    this.composer.element.hidden = inHistory
    const back = inHistory ? say.back : say.past
    if (this.#past.title !== back) {
      setAll(this.#past, { 'aria-label': back, title: back, 'data-do': inHistory ? 'back' : 'history' })
      this.#past.replaceChildren(icon(inHistory ? BACK : PAST))
    }
    this.#anew.hidden = !inHistory && !state.turns.length
  }

  turn(key: number): TurnView | undefined {
    return this.#turns.get(key)
  }

  /** Brings a question to the top, so that its answer is read downwards while it comes. */
  scrollTo(key: number, smooth: boolean): void {
    const element = this.#turns.get(key)?.element
    if (!element) return
    const top = element.offsetTop + element.clientTop // without the line above it
    this.#scroll.scrollTo({ top, behavior: smooth && element.previousElementSibling ? 'smooth' : 'instant' })
  }

  scrollToEnd(): void {
    const last = this.#list.lastElementChild
    if (last instanceof HTMLElement) this.#scroll.scrollTop = last.offsetTop
  }

  /** Says something to those who listen rather than look. */
  announce(text: string): void {
    clearTimeout(this.#announcing)
    this.#announcer.textContent = ''
    this.#announcing = window.setTimeout(() => {
      this.#announcer.textContent = text
    }, 50)
  }

  dispose(): void {
    clearTimeout(this.#announcing)
    for (const view of this.#turns.values()) view.dispose()
    this.popover?.close()
    this.panel.remove()
  }

  #renderTurns({ turns }: State, before: State): void {
    const keys = new Set(turns.map(({ key }) => key))
    for (const [key, view] of this.#turns) {
      if (keys.has(key)) continue
      view.dispose()
      view.element.remove()
      this.#turns.delete(key)
    }
    for (const turn of turns) {
      const view = this.#turns.get(turn.key)
      if (view) view.update(turn)
      else {
        const fresh = new TurnView(turn, this.options)
        this.#turns.set(turn.key, fresh)
        this.#list.append(fresh.element)
      }
    }
    if (turns.length !== before.turns.length) this.popover?.close()
  }

  #renderHistory(state: State, before: State): void {
    if (state.history === before.history && before.view === 'history') return
    void import('../later.js').then(({ historyList }) => {
      if (this.#state !== state) return
      this.#history.replaceChildren(historyList(state.history, state.threadId, this.options.say, this.options.language))
    })
  }

  #citationOf(chip: Element): Citation | undefined {
    const key = Number(chip.closest<HTMLElement>('[data-turn]')?.dataset.turn)
    return this.#turns.get(key)?.citation(Number((chip as HTMLElement).dataset.number))
  }
}
