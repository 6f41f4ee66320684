// Positions in text. The wire counts code points, JavaScript counts UTF-16 units.

/** The UTF-16 position of each code-point offset. `offsets` may be in any order; one too large is the end. */
export function unitsOf(text: string, offsets: readonly number[]): number[] {
  if (!/[\ud800-\udfff]/.test(text)) return offsets.map((offset) => Math.min(offset, text.length))
  const order = offsets.map((_, index) => index).sort((a, b) => offsets[a]! - offsets[b]!)
  const found = new Array<number>(offsets.length)
  let units = 0
  let points = 0
  for (const index of order) {
    while (points < offsets[index]! && units < text.length) {
      units += text.codePointAt(units)! > 0xffff ? 2 : 1
      points++
    }
    found[index] = units
  }
  return found
}

export function lengthInPoints(text: string): number {
  let points = 0
  for (const _ of text) points++
  return points
}

/** At most so many code points: half a character is never left over. */
export function cut(text: string, points: number): string {
  return text.slice(0, unitsOf(text, [points])[0])
}

/** Puts values into a sentence: `fill('In {n} s', { n: 3 })`. */
export function fill(sentence: string, values: Record<string, string | number>): string {
  return sentence.replace(/\{(\w+)\}/g, (slot, name: string) => String(values[name] ?? slot))
}
