import assert from 'node:assert/strict'
import { test } from 'node:test'

import { EventParser, readEvents, type ServerEvent } from '../src/sse.js'

const STREAM = [
  '\ufeffevent: start\ndata: {"thread_id":"t"}\n\n',
  ': keep-alive\n\n',
  'event: delta\r\ndata: {"text":"Größe 機器人 🤖🦾"}\r\n\r\n',
  'event: delta\rdata: one\rdata:two\rdata\r\r',
  'id: 7\nretry: 10\nunknown: x\ndata:  spaced\n\n',
  'event: without data\n\n',
  'event: done\ndata: {}\n\n',
].join('')

const EVENTS: ServerEvent[] = [
  { name: 'start', data: '{"thread_id":"t"}' },
  { name: 'delta', data: '{"text":"Größe 機器人 🤖🦾"}' },
  { name: 'delta', data: 'one\ntwo\n' },
  { name: 'message', data: ' spaced' },
  { name: 'done', data: '{}' },
]

function* pieces(text: string, size: number): Generator<Uint8Array> {
  const bytes = new TextEncoder().encode(text)
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

function parsed(text: string, size: number): ServerEvent[] {
  const parser = new EventParser()
  return [...pieces(text, size)].flatMap((piece) => parser.push(piece))
}

for (const size of [1, 2, 3, 5, 64, Infinity]) {
  test(`a stream in pieces of ${size} bytes is the same stream`, () => {
    assert.deepEqual(parsed(STREAM, size), EVENTS)
  })

  test(`line ends of any kind mean the same, in pieces of ${size} bytes`, () => {
    const lines = 'event: a\ndata: 1\ndata: 2\n\n: comment\n\ndata: 3\n\n'
    const expected = [
      { name: 'a', data: '1\n2' },
      { name: 'message', data: '3' },
    ]
    for (const end of ['\n', '\r\n', '\r']) assert.deepEqual(parsed(lines.replaceAll('\n', end), size), expected)
  })
}

test('an event is told as soon as its blank line is there', () => {
  const parser = new EventParser()
  const push = (text: string) => parser.push(new TextEncoder().encode(text))

  assert.deepEqual(push('data: 1\r\n'), [])
  assert.deepEqual(push('\r'), [{ name: 'message', data: '1' }])
  assert.deepEqual(push('\ndata: 2\n\n'), [{ name: 'message', data: '2' }])
})

test('an event whose blank line never comes is dropped', () => {
  assert.deepEqual(parsed('data: 1\n\ndata: 2\n', 4), [{ name: 'message', data: '1' }])
})

test('reading to the end, and leaving early, both let the stream go', async () => {
  for (const early of [false, true]) {
    let cancelled = false
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const piece of pieces('data: 1\n\ndata: 2\n\n', 3)) controller.enqueue(piece)
        if (!early) controller.close()
      },
      cancel() {
        cancelled = true
      },
    })
    const seen: string[] = []
    for await (const { data } of readEvents(body)) {
      seen.push(data)
      if (early) break
    }

    assert.deepEqual(seen, early ? ['1'] : ['1', '2'])
    assert.equal(cancelled, early)
  }
})

test('a stream that falls silent is taken for lost', async () => {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('data: 1\n\n'))
    },
  })
  const seen: string[] = []
  for await (const { data } of readEvents(body, 20)) seen.push(data)

  assert.deepEqual(seen, ['1'])
})
