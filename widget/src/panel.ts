// The panel at work: what a reader does becomes calls and actions, and each new state is drawn. Built as a file of its
// own, which the loader fetches on the first opening.

import { Api } from './api.js'
import { chosenBy, pageSays, scopeOf } from './context.js'
import { follow, type Host } from './following.js'
import type { Here } from './links.js'
import { rehearse } from './markdown.js'
import { Opening } from './opening.js'
import { START, reduce, type Action, type State, type Turn } from './state.js'
import { keeper } from './storage.js'
import { languageOf, wordsIn } from './strings/strings.js'
import { cut } from './text.js'
import { Problem, problem } from './trouble.js'
import { addStyles, setAll } from './view/dom.js'
import { Shell } from './view/shell.js'
import type { Config, FeedbackKind, Question } from './wire.js'

export interface Panel {
  open(options?: { question?: string; focus?: boolean }): void
  /** Opens with the words that are marked on the page, or closes. */
  toggle(): void
  close(): void
  ask(question: string): void
  /** Takes marked words along with the next question. */
  select(text: string): void
  /** An attribute of the element has changed. */
  changed(name: string): void
  dispose(): void
}

const CONFIG_PATIENCE = 2_000
const LONGEST_QUESTION = 4_000
const LONGEST_SELECTION = 4_000

/** `root` is inside of the shadow root; the loader keeps its name, language, direction and theme up to date. */
export async function mount(host: Host, root: HTMLElement, base: string): Promise<Panel> {
  const inline = host.getAttribute('mode') === 'inline'
  const launcher = root.querySelector<HTMLElement>('.launcher')!
  const prefix = `askbook:${base}:`
  const tab = keeper(() => sessionStorage, prefix)
  const api = new Api(
    base,
    keeper(() => localStorage, prefix),
  )
  const listening = new AbortController()
  let state: State = { ...START, online: navigator.onLine }
  let config: Config | null = null
  let running: AbortController | null = null
  let touched = false
  let language = languageOf(root.lang)
  const [first, { css, followTheme }] = await Promise.all([wordsIn(language), import('./style.js')])
  let say = first
  addStyles(root, css, host.nonce)
  const dress = followTheme(host, root, () => host.attributeChangedCallback('lang'), listening.signal)
  let shell = build()
  const opening = new Opening(() => shell.panel, launcher, opened, listening.signal)

  // State -------------------------------------------------------------------------------------------------

  function dispatch(action: Action): void {
    const before = state
    state = reduce(state, action)
    if (state.threadId !== before.threadId) tab.set('thread', state.threadId || null)
    shell.render(state)
  }

  function turnOf(element: Element | null): Turn | undefined {
    const key = Number(element?.closest<HTMLElement>('[data-turn]')?.dataset.turn)
    return state.turns.find((turn) => turn.key === key)
  }

  function build(): Shell {
    const made = new Shell({
      say,
      inline,
      language,
      title: launcher.textContent!,
      here,
      online: () => state.online,
      longest: () => config?.max_query ?? LONGEST_QUESTION,
      hasPage: () => pagePath() !== '' && !api.knowsNot(pagePath()),
      ask: (question) => ask(question),
      stop: () => running?.abort(),
      scope: (pageOnly) => dispatch({ type: 'scoped', pageOnly }),
    })
    made.showSuggestions(suggestionsOf(host))
    const { panel } = made
    panel.addEventListener('click', clicked)
    panel.addEventListener('submit', submitted)
    panel.addEventListener('pointerdown', (event) => {
      touched = event.pointerType === 'touch'
    })
    panel.addEventListener('keydown', pressed)
    panel.addEventListener('close', () => {
      if (!(panel as HTMLDialogElement).open) opening.closed()
    })
    root.append(panel)
    made.render(state)
    return made
  }

  // Where the reader is -----------------------------------------------------------------------------------

  function here(): Here {
    const canonical = document.querySelector<HTMLLinkElement>('link[rel="canonical"]')?.href ?? ''
    return { href: location.href, canonical, reader: host.getAttribute('reader') ?? '' }
  }

  /** Empty where the panel stands on a page of its own. */
  function pagePath(): string {
    return host.getAttribute('page') ?? (inline ? '' : location.pathname)
  }

  function questionFor(turn: Turn, retryOf: string): Question {
    const guessed = inline && !turn.page ? {} : scopeOf(pageSays(document), config)
    const scope = { ...guessed, ...chosenBy(host), ...(turn.pageOnly && turn.page ? { pages: [turn.page] } : {}) }
    return {
      query: turn.question,
      ...(state.threadId ? { thread_id: state.threadId } : {}),
      ...(turn.page ? { page: turn.page } : {}),
      ...(turn.selection ? { selection: turn.selection } : {}),
      ...(Object.keys(scope).length ? { scope } : {}),
      ...(retryOf ? { retry_of: retryOf } : {}),
    }
  }

  // Asking ------------------------------------------------------------------------------------------------

  function ask(question: string): void {
    const query = cut(question.trim(), config?.max_query ?? LONGEST_QUESTION)
    if (!query) return
    if (running) return shell.composer.fill(query)
    const page = pagePath()
    const { selection, pageOnly } = state
    dispatch({
      type: 'asked',
      asked: { question: query, page, selection, pageOnly: pageOnly && page !== '' && !api.knowsNot(page) },
    })
    const turn = state.turns.at(-1)!
    shell.scrollTo(turn.key, !isReduced())
    void run(turn, '')
  }

  function again(turn: Turn, pageOnly = turn.pageOnly): void {
    if (running) return
    const retryOf = turn.messageId
    dispatch({ type: 'retried', key: turn.key, pageOnly })
    shell.composer.field.focus({ preventScroll: true })
    const fresh = state.turns.find(({ key }) => key === turn.key)
    if (fresh) void run(fresh, retryOf)
  }

  async function run(turn: Turn, retryOf: string): Promise<void> {
    const mine = new AbortController()
    const { key } = turn
    running = mine
    shell.announce(say.searching)
    try {
      await Promise.race([ready, new Promise((go) => setTimeout(go, CONFIG_PATIENCE))])
      for await (const event of api.chat(questionFor(turn, retryOf), mine.signal))
        dispatch({ type: 'told', key, event })
      finished(mine)
      const answer = state.turns.find((other) => other.key === key)?.answer
      if (answer) tell('askbook-answer', { question: turn.question, answer })
    } catch (cause) {
      finished(mine)
      if (mine.signal.aborted) dispatch({ type: 'stopped', key })
      else {
        const { trouble } = cause instanceof Problem ? cause : problem('failed')
        dispatch({ type: 'failed', key, trouble })
        tell('askbook-error', { question: turn.question, problem: trouble })
        if (!(cause instanceof Problem)) throw cause
      }
    } finally {
      shell.announce(shell.turn(key)?.spoken() ?? '')
    }
  }

  /** Unless another has begun meanwhile. */
  function finished(run: AbortController): void {
    if (running === run) running = null
  }

  function leaveRunning(): void {
    running?.abort()
    running = null
  }

  function tell(name: string, detail: unknown): void {
    host.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }))
  }

  // Conversations -----------------------------------------------------------------------------------------

  async function restore(thread: string): Promise<void> {
    leaveRunning()
    dispatch({ type: 'restoring', threadId: thread })
    try {
      const { turnsIn } = await import('./later.js')
      dispatch({ type: 'restored', threadId: thread, turns: await turnsIn(api, thread) })
      shell.scrollToEnd()
    } catch (cause) {
      if (state.threadId !== thread) return
      const gone = cause instanceof Problem && [401, 404, 422].includes(cause.trouble.status)
      dispatch(gone ? { type: 'began' } : { type: 'restored', threadId: thread, turns: [] })
    }
  }

  async function list(more: boolean): Promise<void> {
    dispatch({ type: 'listing', more })
    try {
      const { items, more: left } = await api.threads(more ? state.history.threads.at(-1)?.id : '')
      dispatch({ type: 'listed', threads: items, more: left })
    } catch {
      dispatch({ type: 'unlisted' })
    }
  }

  async function remove(thread: string | null): Promise<void> {
    if (thread === null || thread === state.threadId) leaveRunning()
    try {
      await (thread === null ? api.deleteThreads() : api.deleteThread(thread))
    } catch (cause) {
      if (!(cause instanceof Problem) || cause.trouble.status !== 404) return dispatch({ type: 'unlisted' })
    }
    dispatch({ type: 'deleted', threadId: thread })
    shell.panel.querySelector<HTMLElement>('[data-do=back]')?.focus()
    shell.announce(say.removed)
  }

  function begin(): void {
    leaveRunning()
    dispatch({ type: 'began' })
    shell.composer.field.focus()
  }

  // What a reader does ------------------------------------------------------------------------------------

  const does: Record<string, (element: HTMLElement, turn: Turn | undefined) => void> = {
    close: () => opening.close(),
    anew: begin,
    history: () => {
      dispatch({ type: 'viewed', view: 'history' })
      void list(false)
    },
    back: () => dispatch({ type: 'viewed', view: 'chat' }),
    moreThreads: () => void list(true),
    openThread: (element) => {
      void restore(rowOf(element).dataset.thread!)
      shell.composer.field.focus()
    },
    confirm: (element) => {
      const row = rowOf(element)
      row.classList.add('asking')
      row.querySelector<HTMLElement>('.sure button')!.focus()
    },
    unconfirm: (element) => {
      const row = rowOf(element)
      row.classList.remove('asking')
      row.querySelector<HTMLElement>('[data-do=confirm]')!.focus()
    },
    deleteThread: (element) => void remove(rowOf(element).dataset.thread!),
    deleteThreads: () => void remove(null),
    suggestion: (element) => {
      shell.composer.field.focus()
      ask(element.textContent!)
    },
    unselect: () => {
      dispatch({ type: 'selected', selection: '' })
      shell.composer.field.focus()
    },
    retry: (_, turn) => turn && again(turn),
    askBook: (_, turn) => {
      dispatch({ type: 'scoped', pageOnly: false })
      if (turn) again(turn, false)
    },
    reword: (_, turn) => {
      if (turn) shell.composer.fill(turn.question)
      shell.composer.field.focus()
    },
    search: (_, turn) => {
      if (opening.isInTheWay) opening.close()
      void import('./later.js').then(({ searchSite }) => searchSite(turn?.question ?? ''))
    },
    rate: (element, turn) => {
      const kind = element.dataset.kind as FeedbackKind
      if (turn) sendFeedback(turn, turn.feedback?.kind === kind ? null : kind)
    },
    copyAnswer: (element, turn) =>
      turn?.answer && void copied(element, ({ asMarkdown }) => asMarkdown(turn.answer!, here())),
    copyCode: (element) => void copied(element, () => element.closest('.code')!.querySelector('code')!.textContent!),
  }

  function clicked(event: MouseEvent): void {
    const target = event.target as Element
    const doing = target.closest<HTMLElement>('[data-do]:not(form)')
    if (doing) return does[doing.dataset.do!]?.(doing, turnOf(doing))
    const link = target.closest<HTMLAnchorElement>('a[href]')
    if (!link) return
    if (touched && link.matches('.chip') && shell.popover && shell.popover.shown !== link) {
      event.preventDefault()
      shell.popover.show(link)
      return
    }
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || !link.dataset.go) return
    event.preventDefault()
    const citation = turnOf(link)?.citations.find(({ number }) => number === Number(link.dataset.number))
    shell.popover?.close()
    if (opening.isInTheWay) opening.close()
    void follow(link, citation, host, tab, (found) => shell.announce(found ? say.marked : say.notMarked))
  }

  function submitted(event: SubmitEvent): void {
    const form = event.target as HTMLFormElement
    if (form.dataset.do !== 'comment') return
    event.preventDefault()
    const turn = turnOf(form)
    const comment = new FormData(form).get('comment')?.toString().trim()
    if (turn?.feedback && comment) sendFeedback(turn, turn.feedback.kind, comment)
  }

  function pressed(event: KeyboardEvent): void {
    if (event.key === 'Escape' && !event.isComposing) {
      event.preventDefault()
      event.stopPropagation()
      if (!shell.popover?.close()) opening.close()
      return
    }
    // Shadow DOM hides from the page that the keys are typed into a field: a site's own shortcuts would take them.
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation()
  }

  function sendFeedback(turn: Turn, kind: FeedbackKind | null, comment?: string): void {
    const before = turn.feedback
    dispatch({ type: 'rated', key: turn.key, feedback: kind && { kind, comment: comment ?? null } })
    const thread = turn.answer?.thread_id ?? state.threadId
    api.feedback(thread, turn.messageId, kind, comment).catch(() => {
      dispatch({ type: 'rated', key: turn.key, feedback: before })
      shell.announce(say.failed)
    })
  }

  async function copied(button: HTMLElement, text: (later: typeof import('./later.js')) => string): Promise<void> {
    const later = await import('./later.js')
    const word = (await later.copyText(text(later))) ? say.copied : say.notCopied
    button.focus({ preventScroll: true })
    // The word is shown by CSS, and would be added to a name that is the button's text.
    const named = button.textContent!.trim() !== ''
    setAll(button, { 'data-word': word, ...(named && { 'aria-label': word }) })
    shell.announce(word)
    setTimeout(() => setAll(button, { 'data-word': null, ...(named && { 'aria-label': null }) }), 1_600)
  }

  // Open and closed ---------------------------------------------------------------------------------------

  function open({ question, focus = true }: { question?: string; focus?: boolean } = {}): void {
    opening.open()
    if (focus) shell.composer.field.focus({ preventScroll: true })
    if (question) ask(question)
  }

  function opened(isOpen: boolean): void {
    shell.popover?.close()
    tab.set('open', isOpen ? 'yes' : null)
    shell.render(state)
  }

  function select(text: string): void {
    dispatch({ type: 'selected', selection: cut(text, LONGEST_SELECTION) })
    open()
  }

  async function relabel(): Promise<void> {
    const wanted = languageOf(root.lang)
    if (wanted === language) return
    language = wanted
    say = await wordsIn(wanted)
    const old = shell
    shell = build()
    old.dispose()
    if (opening.isOpen) opening.open()
  }

  // Beginning ---------------------------------------------------------------------------------------------

  const on = (name: string, does: () => void, target: EventTarget = window) =>
    target.addEventListener(name, does, { signal: listening.signal })
  on('online', () => dispatch({ type: 'connected', online: true }))
  on('offline', () => dispatch({ type: 'connected', online: false }))
  const view = window.visualViewport
  if (view) {
    // A keyboard on the screen covers the lower part of it.
    const fit = () => root.style.setProperty('--height', `${Math.round(view.height)}px`)
    on('resize', fit, view)
    fit()
  }

  const ready = api.config().then(
    (told) => {
      config = told
    },
    () => {}, // everything that can be asked without it can still be asked
  )
  const kept = tab.get('thread')
  if (kept) void restore(kept)
  void import('./page.js').catch(() => {}) // at hand when a citation is followed
  setTimeout(rehearse)

  return {
    open,
    close: () => opening.close(),
    ask(question) {
      opening.open()
      ask(question)
    },
    select,
    toggle() {
      if (opening.isOpen) return opening.close()
      void import('./page.js')
        .then(
          ({ selectedText }) => selectedText(),
          () => '',
        )
        .then((text) => (text ? select(text) : open()))
    },
    changed(name) {
      dress()
      shell.showTitle(launcher.textContent!)
      if (name === 'suggestions') shell.showSuggestions(suggestionsOf(host))
      else if (name === 'lang') void relabel()
      else shell.render(state)
    },
    dispose() {
      listening.abort()
      leaveRunning()
      shell.dispose()
    },
  }
}

/** Of the list of conversations, the row that an element of it is in. */
function rowOf(element: HTMLElement): HTMLElement {
  return element.closest<HTMLElement>('[data-thread]')!
}

function suggestionsOf(host: HTMLElement): string[] {
  const written =
    host.getAttribute('suggestions') ?? host.querySelector('script[type="application/json"]')?.textContent ?? ''
  try {
    const list: unknown = JSON.parse(written)
    return Array.isArray(list) ? list.filter((item) => typeof item === 'string') : []
  } catch {
    return []
  }
}

function isReduced(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches
}
