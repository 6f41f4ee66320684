// Turns as the server has recorded them (contract/chat): what streams and what is kept must be the same answer.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { turnsOf } from '../src/past.js'
import { EventParser, type ServerEvent } from '../src/sse.js'
import { START, isRunning, reduce, type Action, type State } from '../src/state.js'
import { problemIn } from '../src/trouble.js'
import type { AnswerItem, ChatEvent, Item, ProblemBody, QuestionItem } from '../src/wire.js'

interface Thread {
  id: string
  items: Item[]
}

const CHAT = join(process.cwd(), '../contract/chat')
const TURNS = ['answered', 'partial', 'not_in_docs', 'failed', 'stopped']
/** Of an answer, what is not kept. */
const PASSING = ['index', 'timings_ms']

function parsed(bytes: Uint8Array, size: number): ServerEvent[] {
  const parser = new EventParser()
  const events: ServerEvent[] = []
  for (let at = 0; at < bytes.length; at += size) events.push(...parser.push(bytes.subarray(at, at + size)))
  return events
}

/** As the panel does: an error is a failure, and a stream without an end was stopped by the reader. */
function after(events: readonly ServerEvent[], start: State): State {
  const key = start.turns[0]!.key
  const actions = events.map(({ name, data }): Action => {
    const told: unknown = JSON.parse(data)
    return name === 'error'
      ? { type: 'failed', key, trouble: problemIn(told as ProblemBody).trouble }
      : { type: 'told', key, event: { name, data: told } as ChatEvent }
  })
  const state = actions.reduce(reduce, start)
  return isRunning(state.turns[0]!) ? reduce(state, { type: 'stopped', key }) : state
}

for (const name of TURNS) {
  test(`the recorded turn "${name}" ends as it is kept, whole and in pieces`, async () => {
    const bytes = await readFile(join(CHAT, `${name}.sse`))
    const thread = JSON.parse(await readFile(join(CHAT, `${name}.thread.json`), 'utf8')) as Thread
    const [question, kept] = thread.items as [QuestionItem, AnswerItem]
    const asked = { question: question.text, page: question.page ?? '', selection: '', pageOnly: false }
    const start = reduce(START, { type: 'asked', asked })

    const events = parsed(bytes, Infinity)
    const pieces = parsed(bytes, 5)
    assert.ok(events.length > 4)
    assert.deepEqual(pieces, events)
    const state = after(events, start)
    assert.deepEqual(after(pieces, start), state)

    const turn = state.turns[0]!
    assert.equal(state.threadId, thread.id)
    assert.equal(turn.messageId, kept.id)
    assert.equal(turn.phase, kept.outcome)
    assert.equal(turn.text, kept.response)
    assert.deepEqual(turn.citations, kept.citations)

    // And so it is found again.
    const [past] = turnsOf(thread.items, thread.id)
    const answer = turn.answer && Object.entries(turn.answer).filter(([field]) => !PASSING.includes(field))
    const { key: _, ...shown } = { ...turn, answer: answer && Object.fromEntries(answer), sources: [], trouble: null }
    assert.deepEqual(shown, past)
  })
}

test('an answer that failed says why', async () => {
  const events = parsed(await readFile(join(CHAT, 'failed.sse')), Infinity)
  const asked = { question: 'How?', page: '', selection: '', pageOnly: false }
  const { trouble } = after(events, reduce(START, { type: 'asked', asked })).turns[0]!

  assert.equal(trouble?.code, 'answer_cut_short')
  assert.equal(trouble?.status, 503)
  assert.ok(trouble?.detail)
})
