// Server-sent events out of a byte stream, however it was cut.

/** Yields `{name, data}`. An event whose blank line never came is dropped, as the standard asks. */
export async function* readEvents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader()
  const parser = new EventParser()
  try {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      yield* parser.feed(value)
    }
  } finally {
    reader.cancel().catch(() => {}) // leaving stops the server's work
  }
}

export class EventParser {
  #rest = ''
  #name = ''
  #data = []

  /** The events that this piece completes. */
  feed(text) {
    const events = []
    this.#rest += text
    let start = 0
    const ends = /\r\n|\r(?!$)|\n/g // a CR at the very end may be half of a CRLF
    for (let end; (end = ends.exec(this.#rest)); start = ends.lastIndex) {
      const event = this.#line(this.#rest.slice(start, end.index))
      if (event) events.push(event)
    }
    this.#rest = this.#rest.slice(start)
    return events
  }

  #line(line) {
    if (line === '') {
      const event = this.#data.length ? { name: this.#name || 'message', data: this.#data.join('\n') } : null
      this.#name = ''
      this.#data = []
      return event
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') this.#data.push(value)
    else if (field === 'event') this.#name = value
    return null // comments begin with a colon; `id` and `retry` are not for us
  }
}
