// Finding a quote in a text. Only letters and digits count: white space, punctuation and Markdown differ between
// the book's source, which is quoted, and the page it became.

/** A text as its letters and digits, each with the index of the character it came from. */
export interface Letters {
  text: string
  at: number[]
}

const COUNTS = /[\p{L}\p{N}]/u
/** A piece that is shorter, or a smaller part of the quote, may stand anywhere. */
const SHORTEST = 12
const SHARE = 0.2

export function lettersOf(text: string): Letters {
  const kept: string[] = []
  const at: number[] = []
  for (let index = 0; index < text.length;) {
    const point = String.fromCodePoint(text.codePointAt(index)!)
    if (COUNTS.test(point)) {
      // Lower case may be longer than the letter was, as of the Turkish dotted I.
      const lower = point.toLowerCase()
      kept.push(lower)
      for (let unit = 0; unit < lower.length; unit++) at.push(index)
    }
    index += point.length
  }
  return { text: kept.join(''), at }
}

/** A quote of Markdown without what the page does not show: the targets of links, images, HTML. */
export function shownOf(quote: string): string {
  return quote
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/<\/?[a-z][^>]*>/gi, ' ')
    .replace(/\s*\{#[\w-]+\}/g, '')
}

/**
 * First and last letter of the quote in `page`, the first occurrence from `from` on, else the first of all. If the page
 * tells a part of it differently, as much of its beginning and its end as there is.
 */
export function findLetters(page: string, quote: string, from = 0): [number, number] | null {
  const find = (piece: string, after: number) => {
    const found = page.indexOf(piece, after)
    return found < 0 ? page.indexOf(piece) : found
  }
  const longest = (piece: (size: number) => string) => {
    let [some, none] = [0, quote.length + 1]
    while (none - some > 1) {
      const size = (some + none) >> 1
      if (page.includes(piece(size))) some = size
      else none = size
    }
    return some
  }
  const least = Math.max(SHORTEST, quote.length * SHARE)
  const head = longest((size) => quote.slice(0, size))
  if (head && head === quote.length) {
    const start = find(quote, from)
    return [start, start + head - 1]
  }
  const tail = longest((size) => quote.slice(quote.length - size))
  const start = head < least ? -1 : find(quote.slice(0, head), from)
  const end = tail < least ? -1 : find(quote.slice(-tail), Math.max(start, from)) + tail
  if (start < 0 && end < 0) return null
  if (start < 0) return [end - tail, end - 1]
  const near = end > start && end - start < 2 * quote.length
  return [start, near ? end - 1 : start + head - 1]
}
