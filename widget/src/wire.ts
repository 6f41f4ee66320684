// What goes over the wire, as docs/reference/http-api of the site tells it. Fields we do not know are ignored.

export interface Place {
  title: string
  heading_path: string[]
  url: string
}

export interface Source extends Place {
  passage_id: string
}

export interface Citation extends Source {
  number: number
  quote: string
}

/** Offsets count Unicode code points of `response`. */
export interface Span {
  start: number
  end: number
}

export interface Grounding {
  unsupported: Span[]
  code: (Span & { verbatim: boolean })[]
}

export type AnswerState = 'answered' | 'partial' | 'not_in_docs'
export type AnswerMode = 'generated' | 'extractive' | 'search'

export interface Answer {
  response: string
  state: AnswerState
  mode: AnswerMode
  notice: string
  /** A server of before does not tell them. */
  notice_codes?: string[]
  citations: Citation[]
  nearest: Place[]
  grounding: Grounding
  thread_id: string
  message_id: string
}

export interface Scope {
  version?: string
  locale?: string
  path_prefix?: string
  up_to?: string
  pages?: string[]
}

export interface Question {
  query: string
  thread_id?: string
  page?: string
  selection?: string
  scope?: Scope
  retry_of?: string
}

export type Step = 'searching' | 'reading' | 'writing'

export type ChatEvent =
  | { name: 'start'; data: { thread_id: string; message_id: string } }
  | { name: 'progress'; data: { step: Step } }
  | { name: 'sources'; data: { sources: Source[] } }
  | { name: 'delta'; data: { text: string } }
  | { name: 'citation'; data: Citation & { at: number } }
  | { name: 'done'; data: Answer }

/** RFC 9457. `detail` is a list for `invalid_request`. */
export interface ProblemBody {
  title?: string
  status?: number
  detail?: string | { msg: string }[]
  code?: string
  request_id?: string
}

export interface Config {
  version: string
  mode: 'generated' | 'extractive'
  site_url: string
  versions: string[]
  locales: string[]
  max_query: number
}

export interface Session {
  token: string
  expires_at: string | number
}

export interface ThreadHead {
  id: string
  title: string
  created_at: string
  updated_at: string
}

export type FeedbackKind = 'positive' | 'negative'

export interface Feedback {
  kind: FeedbackKind
  comment: string | null
}

export interface QuestionItem {
  kind: 'question'
  id: string
  created_at: string
  text: string
  page: string | null
  selection: string | null
}

export interface AnswerItem {
  kind: 'answer'
  id: string
  question_id: string
  created_at: string
  outcome: 'done' | 'stopped' | 'failed'
  response: string
  state: AnswerState
  mode: AnswerMode
  notice: string
  notice_codes?: string[]
  citations: Citation[]
  nearest: Place[]
  grounding: Grounding | null
  feedback: Feedback | null
}

export type Item = QuestionItem | AnswerItem
