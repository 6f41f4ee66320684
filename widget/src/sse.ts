// Server-sent events out of bytes, however these were cut.

export interface ServerEvent {
  name: string
  data: string
}

export class EventParser {
  #decoder = new TextDecoder() // strips the byte order mark, and waits for the rest of a split character
  #line = ''
  #skipLineFeed = false
  #name = ''
  #data: string[] = []

  /** The events that this piece completes. One whose blank line never comes is dropped, as the standard asks. */
  push(bytes: Uint8Array): ServerEvent[] {
    let text = this.#decoder.decode(bytes, { stream: true })
    if (!text) return []
    // The second half of a CRLF that was cut in two.
    if (this.#skipLineFeed && text.startsWith('\n')) text = text.slice(1)
    this.#skipLineFeed = text.endsWith('\r')
    const lines = text.split(/\r\n|\r|\n/)
    lines[0] = this.#line + lines[0]!
    this.#line = lines.pop()!
    return lines.map((line) => this.#read(line)).filter((event) => event !== null)
  }

  #read(line: string): ServerEvent | null {
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
    return null // a comment begins with a colon; `id` and `retry` are not for us
  }
}

/** Yields events until the stream ends. After `silence` milliseconds without a byte it is taken for lost. */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  silence = 60_000,
): AsyncGenerator<ServerEvent, void, undefined> {
  const parser = new EventParser()
  const reader = body.getReader()
  const leave = () => void reader.cancel().catch(() => {}) // leaving stops the server's work
  try {
    for (;;) {
      const watchdog = setTimeout(leave, silence)
      const { value, done } = await reader.read().finally(() => clearTimeout(watchdog))
      if (done) return
      yield* parser.push(value)
    }
  } finally {
    leave()
  }
}
