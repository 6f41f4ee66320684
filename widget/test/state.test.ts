import assert from 'node:assert/strict'
import { test } from 'node:test'

import { START, isRunning, reduce, type Action, type State, type Turn } from '../src/state.js'
import type { ChatEvent, ThreadHead } from '../src/wire.js'
import { turnsIn, turnsOf } from '../src/past.js'
import { EVENTS, ITEMS, answer, citation } from './fixtures.js'

const PAST = turnsOf(ITEMS, 'thread')
const ASKED = { question: 'How?', page: '/docs', selection: '', pageOnly: false }
const TROUBLE = { code: 'search_unavailable', status: 503, detail: '', retryAfter: 7 }

function after(...actions: Action[]): State {
  return actions.reduce(reduce, START)
}

function asked(): [State, number] {
  const state = after({ type: 'asked', asked: ASKED })
  return [state, state.turns[0]!.key]
}

function told(events: readonly ChatEvent[]): { state: State; turn: Turn } {
  const [start, key] = asked()
  const state = events.reduce((before, event) => reduce(before, { type: 'told', key, event }), start)
  return { state, turn: state.turns[0]! }
}

test('a stream becomes an answer', () => {
  const { state, turn } = told(EVENTS)

  assert.equal(turn.phase, 'done')
  assert.equal(turn.text, 'Nodes talk over topics [1].')
  assert.deepEqual(turn.citations, [citation(1)])
  assert.equal(turn.messageId, 'message')
  assert.equal(state.threadId, 'thread')
})

test('each step shows while it lasts', () => {
  const phases = EVENTS.map((_, at) => told(EVENTS.slice(0, at + 1)).turn.phase)

  assert.deepEqual(phases, [
    'waiting',
    'searching',
    'searching',
    'reading',
    'writing',
    'writing',
    'writing',
    'writing',
    'done',
  ])
})

test('a citation is kept once, and without its place', () => {
  const again: ChatEvent = { name: 'citation', data: { ...citation(1, { title: 'New' }), at: 3 } }
  const { turn } = told([...EVENTS.slice(0, 8), again])

  assert.deepEqual(turn.citations, [citation(1, { title: 'New' })])
})

test('an event of a later version changes nothing', () => {
  const { turn } = told([{ name: 'mood', data: {} } as unknown as ChatEvent])

  assert.equal(turn.phase, 'waiting')
})

test('no state is changed in place', () => {
  const [before, key] = asked()
  const copy = structuredClone(before)
  reduce(before, { type: 'told', key, event: EVENTS[5]! })

  assert.deepEqual(before, copy)
})

test('stopping and failing keep what was written', () => {
  const [start, key] = asked()
  const writing = reduce(start, { type: 'told', key, event: EVENTS[5]! })

  for (const action of [
    { type: 'stopped', key },
    { type: 'failed', key, trouble: TROUBLE },
  ] as const) {
    const turn = reduce(writing, action).turns[0]!
    assert.equal(turn.phase, action.type)
    assert.equal(turn.text, 'Nodes talk ')
    assert.equal(isRunning(turn), false)
  }
})

test('asking again starts the same turn over, perhaps of the whole book', () => {
  const [start, key] = asked()
  const failed = reduce(start, { type: 'failed', key, trouble: TROUBLE })
  const [turn] = reduce(failed, { type: 'retried', key, pageOnly: true }).turns

  assert.equal(turn!.key, key)
  assert.equal(turn!.phase, 'waiting')
  assert.equal(turn!.trouble, null)
  assert.equal(turn!.pageOnly, true)
  assert.equal(turn!.question, 'How?')
})

test('an answer that comes after a new conversation has begun belongs to neither', () => {
  const [start, key] = asked()
  const state = reduce(reduce(start, { type: 'began' }), { type: 'told', key, event: EVENTS[0]! })

  assert.equal(state.threadId, '')
  assert.deepEqual(state.turns, [])
})

test('a conversation is found again: each question with its last answer', () => {
  const state = after({ type: 'restoring', threadId: 'thread' }, { type: 'restored', threadId: 'thread', turns: PAST })
  const [first, second] = state.turns

  assert.equal(state.restoring, false)
  assert.equal(first!.text, 'Whole [1].')
  assert.equal(first!.messageId, 'a2')
  assert.deepEqual(first!.feedback, { kind: 'positive', comment: null })
  assert.deepEqual(first!.answer?.grounding, { unsupported: [], code: [] })
  assert.equal(second!.phase, 'stopped')
  assert.equal(second!.selection, 'some words')
})

test('a long conversation is read page by page', async () => {
  const asked: (string | undefined)[] = []
  const turns = await turnsIn(
    {
      items: async (_, after) => {
        asked.push(after)
        return after ? { items: ITEMS.slice(2), more: false } : { items: ITEMS.slice(0, 2), more: true }
      },
    },
    'thread',
  )

  assert.deepEqual(asked, [undefined, 'a1'])
  assert.deepEqual(turns, PAST)
})

test('what is found again too late changes nothing', () => {
  const restoring = after({ type: 'restoring', threadId: 'thread' })
  const began = reduce(restoring, { type: 'began' })

  assert.equal(reduce(began, { type: 'restored', threadId: 'thread', turns: PAST }), began)
  const other = reduce(restoring, { type: 'restored', threadId: 'other', turns: PAST })
  assert.equal(other.turns.length, 0)
})

test('asking while a conversation is looked for goes on in it', () => {
  const state = after({ type: 'restoring', threadId: 'thread' }, { type: 'asked', asked: ASKED })
  const later = reduce(state, { type: 'restored', threadId: 'thread', turns: PAST })

  assert.equal(later.threadId, 'thread')
  assert.equal(later.turns.at(-1)!.question, 'How?')
  assert.equal(later.turns.length, 3)
})

test('the list of conversations grows page by page, each once', () => {
  const head = (id: string): ThreadHead => ({ id, title: id, created_at: '', updated_at: '' })
  const state = after(
    { type: 'listing', more: false },
    { type: 'listed', threads: [head('a'), head('b')], more: true },
    { type: 'listing', more: true },
    { type: 'listed', threads: [head('b'), head('c')], more: false },
  )

  assert.deepEqual(
    state.history.threads.map(({ id }) => id),
    ['a', 'b', 'c'],
  )
  assert.equal(state.history.more, false)
  const without = reduce(state, { type: 'deleted', threadId: 'b' })
  assert.deepEqual(
    without.history.threads.map(({ id }) => id),
    ['a', 'c'],
  )
  assert.deepEqual(reduce(without, { type: 'deleted', threadId: null }).history.threads, [])
})

test('deleting the conversation that is open empties it', () => {
  const { state } = told(EVENTS)

  assert.deepEqual(reduce(state, { type: 'deleted', threadId: 'thread' }).turns, [])
  assert.equal(reduce(state, { type: 'deleted', threadId: 'other' }).turns.length, 1)
})

test('a thumb is remembered and taken back', () => {
  const { state, turn } = told(EVENTS)
  const rated = reduce(state, { type: 'rated', key: turn.key, feedback: { kind: 'negative', comment: 'too short' } })

  assert.equal(rated.turns[0]!.feedback?.comment, 'too short')
  assert.equal(reduce(rated, { type: 'rated', key: turn.key, feedback: null }).turns[0]!.feedback, null)
})

test('a selection goes with one question', () => {
  const selected = after({ type: 'selected', selection: 'words' })

  assert.equal(selected.selection, 'words')
  assert.equal(reduce(selected, { type: 'asked', asked: { ...ASKED, selection: 'words' } }).selection, '')
})

test('an answer object is what a turn is, whatever the stream said', () => {
  const { turn } = told([
    ...EVENTS.slice(0, 6),
    { name: 'done', data: answer({ state: 'not_in_docs', response: '', citations: [] }) },
  ])

  assert.equal(turn.text, '')
  assert.deepEqual(turn.citations, [])
})
