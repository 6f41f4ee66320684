// One question to `POST /chat`, its events back. What goes wrong becomes a sentence.

import { readEvents } from './sse.js'

/** The text is a sentence for the reader. `mend`: the question itself must change. */
export class Failure extends Error {
  constructor(sentence, { mend = false } = {}) {
    super(sentence)
    this.mend = mend
  }
}

/** Yields `{name, data}` up to and with `done`. Raises `Failure`, or `AbortError` when stopped. */
export async function* chat(body, signal) {
  let response
  try {
    response = await fetch('/chat', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream' },
      body: JSON.stringify(body),
      signal,
    })
  } catch (cause) {
    if (signal.aborted) throw cause
    throw new Failure('The server cannot be reached. Check the connection, then try again.')
  }
  if (!response.ok) throw await problemOf(response)
  if (!response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
    throw new Failure('What the server sent is not an answer. Something between here and there may have changed it.')
  }
  try {
    for await (const { name, data } of readEvents(response.body)) {
      const told = JSON.parse(data)
      if (name === 'error') throw new Failure(sentenceOf(told))
      yield { name, data: told }
      if (name === 'done') return
    }
  } catch (cause) {
    if (signal.aborted || cause instanceof Failure) throw cause
  }
  throw new Failure('The connection was lost before the answer was complete.')
}

async function problemOf(response) {
  let problem
  try {
    problem = await response.json()
  } catch {
    problem = {}
  }
  const sentence = sentenceOf(problem) || `The server answered with status ${response.status}. Please try again.`
  return new Failure(sentence, { mend: response.status === 422 || response.status === 413 })
}

function sentenceOf({ detail }) {
  if (typeof detail === 'string') return detail
  if (!Array.isArray(detail)) return ''
  const reasons = detail.map(({ msg }) => msg.replace(/^Value error, /, ''))
  return `The question cannot be asked so. ${reasons.join('. ')}.`
}
