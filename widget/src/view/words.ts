// Which sentence says what a turn is. Pure.

import type { Turn } from '../state.js'
import type { Strings } from '../strings/strings.js'
import type { Trouble } from '../trouble.js'

/** What is going on, or how it ended; empty for an answer that is complete. */
export function statusOf({ phase, text }: Turn, say: Strings): string {
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
      return ''
  }
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
