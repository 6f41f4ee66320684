// Answers and citations for the tests.

import type { Answer, Citation, ChatEvent, Item } from '../src/wire.js'

export function citation(number: number, rest: Partial<Citation> = {}): Citation {
  return {
    number,
    title: 'Topics',
    heading_path: ['Module 1', 'Topics'],
    url: `https://book.example/docs/topics#part-${number}`,
    quote: `Words of passage ${number}.`,
    passage_id: `p${number}`,
    ...rest,
  }
}

export function answer(rest: Partial<Answer> = {}): Answer {
  return {
    response: 'Nodes talk over topics [1].',
    state: 'answered',
    mode: 'generated',
    notice: '',
    notice_codes: [],
    citations: [citation(1)],
    nearest: [],
    grounding: { unsupported: [], code: [] },
    thread_id: 'thread',
    message_id: 'message',
    ...rest,
  }
}

export const EVENTS: ChatEvent[] = [
  { name: 'start', data: { thread_id: 'thread', message_id: 'message' } },
  { name: 'progress', data: { step: 'searching' } },
  { name: 'sources', data: { sources: [citation(1)] } },
  { name: 'progress', data: { step: 'reading' } },
  { name: 'progress', data: { step: 'writing' } },
  { name: 'delta', data: { text: 'Nodes talk ' } },
  { name: 'delta', data: { text: 'over topics [1].' } },
  { name: 'citation', data: { ...citation(1), at: 23 } },
  { name: 'done', data: answer() },
]

export const ITEMS: Item[] = [
  { kind: 'question', id: 'q1', created_at: '', text: 'First?', page: '/docs', selection: null },
  {
    kind: 'answer',
    id: 'a1',
    question_id: 'q1',
    created_at: '',
    outcome: 'stopped',
    response: 'Half',
    state: 'answered',
    mode: 'generated',
    citations: [],
    nearest: [],
    notice: '',
    grounding: null,
    feedback: null,
  },
  {
    kind: 'answer',
    id: 'a2',
    question_id: 'q1',
    created_at: '',
    outcome: 'done',
    response: 'Whole [1].',
    state: 'answered',
    mode: 'generated',
    citations: [citation(1)],
    nearest: [],
    notice: '',
    grounding: null,
    feedback: { kind: 'positive', comment: null },
  },
  { kind: 'question', id: 'q2', created_at: '', text: 'Second?', page: null, selection: 'some words' },
]
