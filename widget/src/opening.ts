// Open and closed: beside the page, or covering it where the screen is small; and where the focus goes back to.

import { focused } from './position.js'

const NARROW = '(max-width: 30rem)'
const SHALLOW = '(max-height: 32rem)'

function isNarrow(): boolean {
  return matchMedia(NARROW).matches
}

export class Opening {
  #isOpen = false
  #cameFrom: HTMLElement | null = null

  /** A panel that is part of the page, and no dialog, is always open. */
  constructor(
    private readonly panel: () => HTMLElement,
    private readonly launcher: HTMLElement,
    private readonly changed: (open: boolean) => void,
    signal: AbortSignal,
  ) {
    matchMedia(NARROW).addEventListener('change', () => this.#fit(), { signal })
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether the window has no room for both the panel and what is cited on the page. */
  get isInTheWay(): boolean {
    return isNarrow() || matchMedia(SHALLOW).matches
  }

  open(): void {
    const panel = this.panel()
    if (!(panel instanceof HTMLDialogElement) || panel.open) return
    this.#isOpen = true
    this.#cameFrom = focused()
    show(panel)
    this.launcher.hidden = true
    this.changed(true)
  }

  close(): void {
    const panel = this.panel()
    if (!(panel instanceof HTMLDialogElement) || !panel.open) return
    this.closed()
    panel.close()
  }

  /** A modal dialog may also be closed by the back gesture of a phone. */
  closed(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.launcher.hidden = false
    this.changed(false)
    const panel = this.panel()
    const active = focused()
    if (active && !panel.contains(active)) return
    const from = this.#cameFrom
    const back = from?.isConnected && !panel.contains(from) ? from : this.launcher
    this.#cameFrom = null
    // A dialog gives the focus to what had it before: ours comes after that.
    queueMicrotask(() => back.focus({ preventScroll: true }))
  }

  /** A screen that is turned, or a window that is drawn larger. */
  #fit(): void {
    const panel = this.panel()
    if (!(panel instanceof HTMLDialogElement) || !panel.open || panel.matches(':modal') === isNarrow()) return
    const active = focused()
    panel.close()
    show(panel)
    if (active && panel.contains(active)) active.focus({ preventScroll: true })
  }
}

function show(panel: HTMLDialogElement): void {
  if (isNarrow()) panel.showModal()
  else panel.setAttribute('open', '') // `show()` would take the focus, which is not ours when a page has been loaded
}
