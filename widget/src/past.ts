// A conversation of the past, as the turns it was made of.

import { unanswered, type PastTurn } from './state.js'
import type { Answer, AnswerItem, Item } from './wire.js'

const MOST_PAGES = 10

interface Items {
  items(thread: string, after?: string): Promise<{ items: Item[]; more: boolean }>
}

export async function turnsIn(api: Items, thread: string): Promise<PastTurn[]> {
  const all: Item[] = []
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const { items, more } = await api.items(thread, all.at(-1)?.id)
    all.push(...items)
    if (!more || !items.length) break
  }
  return turnsOf(all, thread)
}

/** Each question with the last answer it was given. */
export function turnsOf(items: readonly Item[], thread: string): PastTurn[] {
  const turns = new Map<string, PastTurn>()
  for (const item of items) {
    if (item.kind === 'question') {
      const { text: question, page, selection } = item
      const asked = unanswered({ question, page: page ?? '', selection: selection ?? '', pageOnly: false })
      turns.set(item.id, { ...asked, phase: 'stopped' }) // until its answer comes along
    } else {
      const turn = turns.get(item.question_id)
      if (turn) turns.set(item.question_id, answered(turn, item, thread))
    }
  }
  return [...turns.values()]
}

function answered(turn: PastTurn, item: AnswerItem, thread: string): PastTurn {
  const { id, outcome, response, state, mode, notice, notice_codes = [] } = item
  const citations = item.citations ?? []
  const nearest = item.nearest ?? []
  const grounding = item.grounding ?? { unsupported: [], code: [] }
  const answer: Answer = {
    response,
    state,
    mode,
    notice,
    notice_codes,
    citations,
    nearest,
    grounding,
    thread_id: thread,
    message_id: id,
  }
  return {
    ...turn,
    phase: outcome,
    text: response,
    citations,
    messageId: id,
    answer: outcome === 'done' ? answer : null,
    feedback: item.feedback,
  }
}
