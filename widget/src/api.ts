// The backend. The only module that fetches.

import { readEvents } from './sse.js'
import type { Keeper } from './storage.js'
import { Problem, problem, problemIn, problemOf } from './trouble.js'
import type { ChatEvent, Config, FeedbackKind, Item, ProblemBody, Question, Session, ThreadHead } from './wire.js'

interface Kept {
  token: string
  issued: number
  expires: number
}

interface Pages<T> {
  items: T[]
  more: boolean
}

const NEW_TOKEN = new Set(['token_expired', 'token_refused', 'not_signed_in'])
const SESSION_PATIENCE = 4_000
const SESSION_PAUSE = 30_000
const UNSTATED_LIFE = 3_600_000
const MOST_WAITS = 3
const PAGE = 50

export class Api {
  #session: Promise<string | null> | null = null
  #noSessionUntil = 0
  #unknownPages = new Set<string>()

  constructor(
    private readonly base: string,
    private readonly keeper: Keeper,
    private readonly wait: (ms: number, signal?: AbortSignal) => Promise<void> = pause,
  ) {}

  /** Whether the server has said that this page is not in its index. */
  knowsNot(page: string): boolean {
    return this.#unknownPages.has(page)
  }

  /** Yields what happens, up to and with `done`. Raises `Problem`, or whatever the abort raises. */
  async *chat(question: Question, signal: AbortSignal): AsyncGenerator<ChatEvent, void, undefined> {
    const response = await this.#ask(question, signal)
    if (!response.headers.get('Content-Type')?.startsWith('text/event-stream') || !response.body) {
      throw problem('not_an_answer')
    }
    try {
      for await (const { name, data } of readEvents(response.body)) {
        const told: unknown = JSON.parse(data)
        if (name === 'error') throw problemIn(told as ProblemBody)
        yield { name, data: told } as ChatEvent
        if (name === 'done') return
      }
    } catch (cause) {
      if (signal.aborted || cause instanceof Problem) throw cause
    }
    throw problem('cut_off')
  }

  config(): Promise<Config> {
    return this.#json('/config')
  }

  async threads(after = ''): Promise<Pages<ThreadHead>> {
    const got = await this.#json<{ threads: ThreadHead[]; has_more: boolean }>(`/threads?${page(after)}`)
    return { items: got.threads, more: got.has_more }
  }

  async items(thread: string, after = ''): Promise<Pages<Item>> {
    const path = `/threads/${encodeURIComponent(thread)}?${page(after)}`
    const got = await this.#json<{ items: Item[]; has_more: boolean }>(path)
    return { items: got.items, more: got.has_more }
  }

  async deleteThread(thread: string): Promise<void> {
    await this.#call(`/threads/${encodeURIComponent(thread)}`, { method: 'DELETE' })
  }

  async deleteThreads(): Promise<void> {
    await this.#call('/threads', { method: 'DELETE' })
  }

  async feedback(thread: string, message: string, kind: FeedbackKind | null, comment?: string): Promise<void> {
    const body = { thread_id: thread, message_id: message, kind, ...(comment ? { comment } : {}) }
    await this.#call('/feedback', { method: 'POST', body: JSON.stringify(body) })
  }

  /** A reader's token. Without one, answers come all the same; they are only not kept. */
  session(): Promise<string | null> {
    const kept = this.#kept()
    const now = Date.now()
    if (kept && now < kept.expires) {
      if (now > (kept.issued + kept.expires) / 2) void this.#newSession(kept.token) // the old one will do meanwhile
      return Promise.resolve(kept.token)
    }
    if (now < this.#noSessionUntil) return Promise.resolve(null)
    return this.#newSession(kept?.token)
  }

  /** Asks, and gives way where the index does not know what the page says of itself. */
  async #ask(question: Question, signal: AbortSignal): Promise<Response> {
    let asked = this.#known(question)
    for (let waits = 0; ;) {
      try {
        return await this.#call('/chat', {
          method: 'POST',
          headers: { Accept: 'text/event-stream' },
          body: JSON.stringify({ ...asked, stream: true }),
          signal,
        })
      } catch (cause) {
        if (!(cause instanceof Problem)) throw cause
        const { code, status, retryAfter } = cause.trouble
        if (code === 'unknown_page' && asked.page && !asked.scope?.pages) {
          this.#unknownPages.add(asked.page)
          asked = this.#known(asked)
        } else if (code === 'unknown_scope' && (asked.scope?.version || asked.scope?.locale)) {
          asked = withoutGuesses(asked)
        } else if (asked.retry_of && (status === 404 || (status === 422 && !code.startsWith('unknown_')))) {
          asked = anew(asked) // an answer that was never kept cannot be given again
        } else if (code === 'thread_busy' && waits++ < MOST_WAITS) {
          await this.wait((retryAfter ?? 1.5) * 1000, signal)
        } else throw cause
      }
    }
  }

  #known(question: Question): Question {
    if (!question.page || question.scope?.pages || !this.knowsNot(question.page)) return question
    const { page: _, ...rest } = question
    return rest
  }

  async #json<T>(path: string): Promise<T> {
    const response = await this.#call(path, {}).catch(async (cause) => {
      if (!(cause instanceof Problem) || cause.trouble.code !== 'unreachable') throw cause
      await this.wait(500)
      return this.#call(path, {})
    })
    return (await response.json()) as T
  }

  async #call(path: string, init: RequestInit): Promise<Response> {
    const token = await this.session()
    init.signal?.throwIfAborted()
    const response = await this.#fetch(path, init, token)
    if (response.ok) return response
    let failure = await problemOf(response)
    if (response.status === 401 && NEW_TOKEN.has(failure.trouble.code)) {
      const renewed = await this.#newSession(failure.trouble.code === 'token_expired' ? token : null)
      const again = await this.#fetch(path, init, renewed)
      if (again.ok) return again
      failure = await problemOf(again)
    }
    throw failure
  }

  async #fetch(path: string, init: RequestInit, token: string | null | undefined): Promise<Response> {
    const headers = new Headers(init.headers)
    if (init.body) headers.set('Content-Type', 'application/json')
    if (token) headers.set('Authorization', `Bearer ${token}`)
    try {
      return await fetch(this.base + path, { ...init, headers, credentials: 'omit', cache: 'no-store' })
    } catch (cause) {
      if (init.signal?.aborted) throw cause
      throw problem('unreachable')
    }
  }

  #newSession(old: string | null | undefined): Promise<string | null> {
    this.#session ??= this.#startSession(old).finally(() => (this.#session = null))
    return this.#session
  }

  async #startSession(old: string | null | undefined): Promise<string | null> {
    const start = (token: string | null | undefined) =>
      this.#fetch('/session', { method: 'POST', signal: AbortSignal.timeout(SESSION_PATIENCE) }, token)
    try {
      let response = await start(old)
      if (response.status === 401 && old) response = await start(null)
      if (!response.ok) throw await problemOf(response)
      const { token, expires_at: expires } = (await response.json()) as Session
      const issued = Date.now()
      const until = typeof expires === 'number' ? expires * 1000 : Date.parse(expires)
      const kept: Kept = { token, issued, expires: until || issued + UNSTATED_LIFE }
      this.keeper.set('session', JSON.stringify(kept))
      return token
    } catch {
      this.#noSessionUntil = Date.now() + SESSION_PAUSE
      return null
    }
  }

  #kept(): Kept | null {
    try {
      return JSON.parse(this.keeper.get('session') ?? 'null') as Kept | null
    } catch {
      return null
    }
  }
}

function withoutGuesses({ scope, ...question }: Question): Question {
  const { version: _, locale: __, ...rest } = scope ?? {}
  return Object.keys(rest).length ? { ...question, scope: rest } : question
}

function anew({ retry_of: _, ...question }: Question): Question {
  return question
}

function page(after: string): string {
  return new URLSearchParams({ limit: String(PAGE), ...(after ? { after } : {}) }).toString()
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        reject(signal.reason)
      },
      { once: true },
    )
  })
}
