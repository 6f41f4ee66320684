// What the panel knows, and how each happening changes it. Pure: the view draws the result, the panel does the work.

import type { Trouble } from './trouble.js'
import type { Answer, ChatEvent, Citation, Feedback, Source, Step, ThreadHead } from './wire.js'

export type Phase = 'waiting' | Step | 'done' | 'stopped' | 'failed'

export interface Turn {
  /** Ours, and the same for as long as the turn is shown. */
  key: number
  question: string
  page: string
  selection: string
  pageOnly: boolean
  phase: Phase
  text: string
  citations: Citation[]
  sources: Source[]
  /** Of the answer, as soon as the server has named it. */
  messageId: string
  answer: Answer | null
  trouble: Trouble | null
  feedback: Feedback | null
}

export interface History {
  threads: ThreadHead[]
  more: boolean
  state: 'loading' | 'ready' | 'failed'
}

export interface State {
  turns: Turn[]
  threadId: string
  /** Of the whole panel: the conversation, or the list of past ones. */
  view: 'chat' | 'history'
  history: History
  restoring: boolean
  selection: string
  pageOnly: boolean
  online: boolean
}

export type PastTurn = Omit<Turn, 'key'>

export type Asked = Pick<Turn, 'question' | 'page' | 'selection' | 'pageOnly'>

export type Action =
  | { type: 'asked'; asked: Asked }
  | { type: 'retried'; key: number; pageOnly?: boolean }
  | { type: 'told'; key: number; event: ChatEvent }
  | { type: 'stopped'; key: number }
  | { type: 'failed'; key: number; trouble: Trouble }
  | { type: 'rated'; key: number; feedback: Feedback | null }
  | { type: 'began' }
  | { type: 'restoring'; threadId: string }
  | { type: 'restored'; threadId: string; turns: PastTurn[] }
  | { type: 'viewed'; view: State['view'] }
  | { type: 'listing'; more: boolean }
  | { type: 'listed'; threads: ThreadHead[]; more: boolean }
  | { type: 'unlisted' }
  | { type: 'deleted'; threadId: string | null }
  | { type: 'selected'; selection: string }
  | { type: 'scoped'; pageOnly: boolean }
  | { type: 'connected'; online: boolean }

const NO_HISTORY: History = { threads: [], more: false, state: 'loading' }

export const START: State = {
  turns: [],
  threadId: '',
  view: 'chat',
  history: NO_HISTORY,
  restoring: false,
  selection: '',
  pageOnly: false,
  online: true,
}

let keys = 0

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case 'asked':
      return { ...state, view: 'chat', selection: '', turns: [...state.turns, fresh(action.asked)] }
    case 'retried':
      return change(state, action.key, (turn) => ({
        ...fresh({ ...turn, pageOnly: action.pageOnly ?? turn.pageOnly }),
        key: turn.key,
      }))
    case 'told':
      return told(state, action.key, action.event)
    case 'stopped':
      return change(state, action.key, (turn) => ({ ...turn, phase: 'stopped' }))
    case 'failed':
      return change(state, action.key, (turn) => ({ ...turn, phase: 'failed', trouble: action.trouble }))
    case 'rated':
      return change(state, action.key, (turn) => ({ ...turn, feedback: action.feedback }))
    case 'began':
      return { ...state, ...EMPTY_CHAT }
    case 'restoring':
      return { ...state, ...EMPTY_CHAT, threadId: action.threadId, restoring: true }
    case 'restored':
      if (!state.restoring || state.threadId !== action.threadId) return state // the reader has left it
      return {
        ...state,
        restoring: false,
        turns: [...action.turns.map((turn) => ({ ...turn, key: ++keys })), ...state.turns],
      }
    case 'viewed':
      return { ...state, view: action.view }
    case 'listing':
      return { ...state, history: action.more ? { ...state.history, state: 'loading' } : NO_HISTORY }
    case 'listed': {
      const known = new Set(state.history.threads.map(({ id }) => id))
      const threads = [...state.history.threads, ...action.threads.filter(({ id }) => !known.has(id))]
      return { ...state, history: { threads, more: action.more, state: 'ready' } }
    }
    case 'unlisted':
      return { ...state, history: { ...state.history, state: 'failed' } }
    case 'deleted': {
      const { threadId } = action
      const threads = threadId === null ? [] : state.history.threads.filter(({ id }) => id !== threadId)
      const history = { ...state.history, threads, more: threadId === null ? false : state.history.more }
      const goes = threadId === null || threadId === state.threadId
      return { ...state, history, ...(goes ? { turns: [], threadId: '', restoring: false } : {}) }
    }
    case 'selected':
      return { ...state, view: 'chat', selection: action.selection }
    case 'scoped':
      return { ...state, pageOnly: action.pageOnly }
    case 'connected':
      return { ...state, online: action.online }
    default:
      action satisfies never
      return state
  }
}

const EMPTY_CHAT = { turns: [] as Turn[], threadId: '', view: 'chat' as const, restoring: false }

export function isRunning({ phase }: Turn): boolean {
  return phase !== 'done' && phase !== 'stopped' && phase !== 'failed'
}

function told(state: State, key: number, event: ChatEvent): State {
  switch (event.name) {
    case 'start': {
      const { thread_id: threadId, message_id: messageId } = event.data
      return change(inThread(state, key, threadId), key, (turn) => ({ ...turn, messageId }))
    }
    case 'progress':
      return change(state, key, (turn) => ({ ...turn, phase: event.data.step }))
    case 'sources':
      return change(state, key, (turn) => ({ ...turn, sources: event.data.sources }))
    case 'delta':
      return change(state, key, (turn) => ({ ...turn, phase: 'writing', text: turn.text + event.data.text }))
    case 'citation': {
      const { at: _, ...citation } = event.data
      return change(state, key, (turn) => ({
        ...turn,
        citations: [...turn.citations.filter(({ number }) => number !== citation.number), citation],
      }))
    }
    case 'done': {
      const answer = event.data
      const { thread_id: threadId, message_id: messageId, citations, response: text } = answer
      return change(inThread(state, key, threadId), key, (turn) => ({
        ...turn,
        phase: 'done',
        answer,
        messageId,
        citations,
        text,
      }))
    }
    default:
      return state // an event of a later version
  }
}

/** The conversation the turn is in, unless the reader has left it meanwhile. */
function inThread(state: State, key: number, threadId: string): State {
  return state.turns.some((turn) => turn.key === key) ? { ...state, threadId } : state
}

function change(state: State, key: number, how: (turn: Turn) => Turn): State {
  return { ...state, turns: state.turns.map((turn) => (turn.key === key ? how(turn) : turn)) }
}

function fresh(asked: Asked): Turn {
  return { ...unanswered(asked), key: ++keys }
}

export function unanswered({ question, page, selection, pageOnly }: Asked): PastTurn {
  return {
    question,
    page,
    selection,
    pageOnly,
    phase: 'waiting',
    text: '',
    citations: [],
    sources: [],
    messageId: '',
    answer: null,
    trouble: null,
    feedback: null,
  }
}
