import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'

import { Api } from '../src/api.js'
import type { Keeper } from '../src/storage.js'
import { Problem } from '../src/trouble.js'
import type { ChatEvent, Question } from '../src/wire.js'
import { EVENTS } from './fixtures.js'

interface Call {
  method: string
  path: string
  token: string | null
  body: Record<string, unknown> | null
}

type Answerer = (call: Call, times: number) => Response | Promise<Response>

const realFetch = globalThis.fetch
let calls: Call[]
let answers: Record<string, Answerer>
let kept: Map<string, string>
let api: Api
let waits: number[]

const json = (body: unknown, status = 200, headers = {}) => new Response(JSON.stringify(body), { status, headers })
const refused = (status: number, code: string, headers = {}) => json({ status, code, detail: 'No.' }, status, headers)
const gone = (): never => {
  throw new TypeError('Failed to fetch')
}

function streamed(events: readonly ChatEvent[], size = 5): Response {
  const bytes = new TextEncoder().encode(
    events.map(({ name, data }) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join(''),
  )
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.subarray(at, at + size))
      controller.close()
    },
  })
  return new Response(body, { headers: { 'Content-Type': 'text/event-stream; charset=utf-8' } })
}

function session(life = 3600): Answerer {
  return (_, times) =>
    json({ token: `t${times}`, expires_at: new Date(Date.now() + life * 1000).toISOString(), reader: 'r' })
}

beforeEach(() => {
  calls = []
  waits = []
  kept = new Map()
  answers = { '/session': session(), '/chat': () => streamed(EVENTS) }
  const keeper: Keeper = {
    get: (key) => kept.get(key) ?? null,
    set: (key, value) => void (value === null ? kept.delete(key) : kept.set(key, value)),
  }
  api = new Api('https://api.example', keeper, async (ms) => void waits.push(ms))
  globalThis.fetch = async (input, init = {}) => {
    const url = new URL(String(input))
    const call: Call = {
      method: init.method ?? 'GET',
      path: url.pathname + url.search,
      token: new Headers(init.headers).get('Authorization'),
      body: init.body ? (JSON.parse(String(init.body)) as Record<string, unknown>) : null,
    }
    calls.push(call)
    assert.equal(init.credentials, 'omit')
    const times = calls.filter(({ path }) => path === call.path).length
    return answers[url.pathname]!(call, times)
  }
})

afterEach(() => {
  globalThis.fetch = realFetch
})

async function asked(question: Question = { query: 'How?' }): Promise<ChatEvent[]> {
  const events: ChatEvent[] = []
  for await (const event of api.chat(question, new AbortController().signal)) events.push(event)
  return events
}

async function trouble(work: Promise<unknown>): Promise<Problem['trouble']> {
  const cause = await work.then(
    () => assert.fail('nothing went wrong'),
    (error: unknown) => error,
  )
  assert.ok(cause instanceof Problem, String(cause))
  return cause.trouble
}

const chats = () => calls.filter(({ path }) => path === '/chat')

test('a question is asked with a token, and its stream is told event by event', async () => {
  assert.deepEqual(await asked(), EVENTS)
  assert.deepEqual(chats()[0], {
    method: 'POST',
    path: '/chat',
    token: 'Bearer t1',
    body: { query: 'How?', stream: true },
  })
})

test('the token is kept, and used until half of its life is gone', async () => {
  await asked()
  await asked()
  assert.equal(calls.filter(({ path }) => path === '/session').length, 1)

  const old = JSON.parse(kept.get('session')!) as { issued: number; expires: number }
  kept.set('session', JSON.stringify({ ...old, token: 't1', issued: old.issued - 7_200_000 }))
  await asked()
  const renewal = calls.filter(({ path }) => path === '/session')[1]
  assert.equal(renewal?.token, 'Bearer t1')
  assert.equal(chats().at(-1)!.token, 'Bearer t1')
  await asked()
  assert.equal(chats().at(-1)!.token, 'Bearer t2')
})

for (const code of ['token_expired', 'token_refused', 'not_signed_in']) {
  test(`a token that is not taken (${code}) is replaced once, and the question repeated`, async () => {
    answers['/chat'] = (_, times) => (times === 1 ? refused(401, code) : streamed(EVENTS))

    assert.equal((await asked()).length, EVENTS.length)
    assert.deepEqual(
      chats().map(({ token }) => token),
      ['Bearer t1', 'Bearer t2'],
    )
  })

  test(`if the new one is not taken either (${code}), that is told`, async () => {
    answers['/chat'] = () => refused(401, code)

    assert.equal((await trouble(asked())).code, code)
    assert.equal(chats().length, 2)
  })
}

test('without sessions, answers come all the same', async () => {
  for (const failing of [
    () => refused(503, 'threads_unavailable'),
    gone,
    () => new Response('<html>', { status: 200 }),
  ]) {
    api = new Api('https://api.example', { get: () => null, set: () => {} })
    answers['/session'] = failing

    assert.equal((await asked()).length, EVENTS.length)
    assert.equal(chats().at(-1)!.token, null)
  }
})

test('a server without sessions is not asked for one with every question', async () => {
  answers['/session'] = () => refused(503, 'threads_unavailable')
  await asked()
  await asked()

  assert.equal(calls.filter(({ path }) => path === '/session').length, 1)
})

test('a page that is not in the index is left out, now and later', async () => {
  answers['/chat'] = ({ body }) => (body!.page ? refused(422, 'unknown_page') : streamed(EVENTS))
  await asked({ query: 'How?', page: '/about' })

  assert.deepEqual(
    chats().map(({ body }) => body!.page),
    ['/about', undefined],
  )
  assert.ok(api.knowsNot('/about'))
  await asked({ query: 'And?', page: '/about' })
  assert.equal(chats().length, 3)
})

test('a question of one page is not silently asked of the whole book', async () => {
  answers['/chat'] = () => refused(422, 'unknown_page')

  assert.equal(
    (await trouble(asked({ query: 'How?', page: '/about', scope: { pages: ['/about'] } }))).code,
    'unknown_page',
  )
  assert.equal(chats().length, 1)
})

test('a version or locale the index does not know is left out', async () => {
  answers['/chat'] = ({ body }) =>
    (body!.scope as { locale?: string } | undefined)?.locale ? refused(422, 'unknown_scope') : streamed(EVENTS)
  await asked({ query: 'How?', scope: { locale: 'fi', pages: ['/a'] } })

  assert.deepEqual(
    chats().map(({ body }) => body!.scope),
    [{ locale: 'fi', pages: ['/a'] }, { pages: ['/a'] }],
  )
})

test('a busy conversation is waited for, but not for ever', async () => {
  answers['/chat'] = (_, times) => (times < 3 ? refused(409, 'thread_busy', { 'Retry-After': '2' }) : streamed(EVENTS))
  await asked()
  assert.deepEqual(waits, [2000, 2000])

  answers['/chat'] = () => refused(409, 'thread_busy')
  assert.equal((await trouble(asked())).code, 'thread_busy')
})

test('an answer that was never kept is given anew', async () => {
  answers['/chat'] = ({ body }) => (body!.retry_of ? refused(404, 'message_not_found') : streamed(EVENTS))
  await asked({ query: 'How?', retry_of: 'gone' })

  assert.deepEqual(
    chats().map(({ body }) => body!.retry_of),
    ['gone', undefined],
  )
})

test('what goes wrong is told as it is', async () => {
  const cases: [Answerer, Partial<Problem['trouble']>][] = [
    [
      () => refused(503, 'search_unavailable', { 'Retry-After': '7' }),
      { code: 'search_unavailable', status: 503, retryAfter: 7, detail: 'No.' },
    ],
    [() => new Response('<html>Bad gateway', { status: 502 }), { code: 'http_502', status: 502 }],
    [
      () => json({ detail: [{ msg: 'Value error, too long' }], code: 'invalid_request' }, 422),
      { code: 'invalid_request', detail: 'too long.' },
    ],
    [gone, { code: 'unreachable' }],
    [() => json({ response: 'x' }), { code: 'not_an_answer' }],
    [() => streamed(EVENTS.slice(0, 4)), { code: 'cut_off' }],
    [
      () =>
        streamed([
          ...EVENTS.slice(0, 4),
          { name: 'error', data: { code: 'answer_cut_short', status: 503, detail: 'Short.' } } as never,
        ]),
      { code: 'answer_cut_short', status: 503, detail: 'Short.' },
    ],
  ]
  for (const [answerer, expected] of cases) {
    answers['/chat'] = answerer
    const told = await trouble(asked())
    for (const [key, value] of Object.entries(expected)) assert.equal(told[key as keyof typeof told], value)
  }
})

test('leaving is no trouble', async () => {
  const leaving = new AbortController()
  const work = (async () => {
    for await (const _ of api.chat({ query: 'How?' }, leaving.signal)) leaving.abort()
  })()

  await work.then(
    () => {},
    (cause: unknown) => assert.ok(!(cause instanceof Problem)),
  )
})

test('what is only read is asked for a second time', async () => {
  answers['/config'] = (_, times) => (times === 1 ? gone() : json({ mode: 'generated' }))

  assert.equal((await api.config()).mode, 'generated')
})

test('conversations are read page by page', async () => {
  answers['/threads'] = () => json({ threads: [{ id: 'a' }], has_more: true })
  answers['/threads/a%2Fb'] = () => json({ items: [], has_more: false })

  assert.deepEqual(await api.threads('x'), { items: [{ id: 'a' }], more: true })
  assert.equal(calls.at(-1)!.path, '/threads?limit=50&after=x')
  assert.deepEqual(await api.items('a/b'), { items: [], more: false })
})

test('feedback carries its word only if there is one', async () => {
  answers['/feedback'] = () => new Response(null, { status: 204 })
  await api.feedback('t', 'm', 'positive')
  await api.feedback('t', 'm', null, 'word')

  assert.deepEqual(
    calls.filter(({ path }) => path === '/feedback').map(({ body }) => body),
    [
      { thread_id: 't', message_id: 'm', kind: 'positive' },
      { thread_id: 't', message_id: 'm', kind: null, comment: 'word' },
    ],
  )
})
