// Which sentence says what a turn is. Pure.

import type { Turn } from '../state.js'
import type { Strings } from '../strings/strings.js'
import type { Trouble } from '../trouble.js'
import type { Answer } from '../wire.js'

/** What is going on, or how it ended. */
export function statusOf({ phase, text, answer }: Turn, say: Strings): string {
  switch (phase) {
    case 'waiting':
    case 'searching':
      return say.searching
    case 'reading':
      return say.reading
    case 'writing':
      return say.writing
    case 'stopped':
      return text ? say.stopped : say.nothing
    case 'failed':
      return text ? say.incomplete : ''
    case 'done':
      return answer ? labelOf(answer, say) : ''
  }
}

/** Codes of notices that the label says: why no model wrote the answer. */
const QUOTED = new Map<string, keyof Strings>([
  ['model_error', 'modelDown'],
  ['model_unavailable', 'modelDown'],
  ['model_rate_limited', 'modelBusy'],
  ['model_denied', 'modelOff'],
  ['model_gone', 'modelOff'],
  ['model_refused', 'modelRefused'],
])

const NOTES = new Map<string, keyof Strings>([
  ['embedder_unavailable', 'wordsAlone'],
  ['no_vectors_yet', 'noVectorsYet'],
  ['not_borne_out', 'notBorneOut'],
  ['answer_too_long', 'atItsLongest'],
  ['thread_not_found', 'begunAnew'],
  ['threads_unavailable', 'notRemembered'],
])

/** Who wrote an answer. */
export function labelOf({ state, mode, citations, notice_codes: codes = [] }: Answer, say: Strings): string {
  if (state === 'not_in_docs') return ''
  if (mode === 'search') return say.pagesOnly
  if (mode === 'generated') return citations.length ? say.byModel : say.uncited
  return say[codes.flatMap((code) => QUOTED.get(code) ?? [])[0] ?? 'quoted']
}

export interface Notes {
  /** Of the whole answer: to be known before it is read. */
  above: string[]
  /** Of its end. */
  below: string[]
}

/** What makes an answer less than it could be, besides what its label says. */
export function notesOf({ state, notice, notice_codes: codes = [] }: Answer, say: Strings): Notes {
  const partial = state === 'partial' && !codes.includes('not_borne_out') ? [say.partial] : []
  const known = codes.length > 0 && codes.every((code) => QUOTED.has(code) || NOTES.has(code))
  // The server's sentence cannot be taken apart: where we do not know all of it, it is said as it is.
  if (!known) return { above: notice ? [...partial, notice] : partial, below: [] }
  const said = (ofEnd: boolean) =>
    codes
      .filter((code) => (code === 'answer_too_long') === ofEnd)
      .flatMap((code) => NOTES.get(code) ?? [])
      .map((word) => say[word])
  return { above: [...partial, ...said(false)], below: said(true) }
}

export type WayForward = 'retry' | 'reword' | 'askBook' | 'search'

export interface TroubleWords {
  sentence: string
  /** The server's own words, where ours cannot say as much. */
  detail: string
  ways: WayForward[]
}

export function wordsOf(
  trouble: Trouble,
  online: boolean,
  pageOnly: boolean,
  language: string,
  say: Strings,
): TroubleWords {
  const { code, status, detail } = trouble
  // The server speaks English, and is the one to know what happened.
  const told = (sentence: string, ways: WayForward[], more = detail): TroubleWords =>
    language === 'en' && more ? { sentence: more, detail: '', ways } : { sentence, detail: more, ways }
  if (code === 'unreachable') return told(online ? say.unreachable : say.offline, ['retry', 'search'], '')
  if (code === 'cut_off') return told(online ? say.cutOff : say.offline, ['retry'], '')
  if (code === 'unknown_page' && pageOnly) return told(say.pageUnknown, ['askBook'], '')
  if (code === 'thread_busy') return told(say.busy, ['retry'], '')
  if (status === 422 || status === 413) return told(say.refused, ['reword'])
  if (status === 429) return told(say.tooMany, ['retry', 'search'])
  if (status === 503) return told(say.unavailable, ['retry', 'search'])
  return told(say.failed, ['retry'])
}
