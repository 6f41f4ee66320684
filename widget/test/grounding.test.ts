import assert from 'node:assert/strict'
import { test } from 'node:test'

import { align } from '../src/grounding.js'

/** What `shown` has where `source` has `part`. */
function seen(source: string, shown: string, part: string): string {
  const start = source.indexOf(part)
  const places = align(source, shown)
  return [...shown].length === shown.length
    ? [...shown].filter((_, at) => places[at]! >= start && places[at]! < start + part.length).join('')
    : shown.slice(
        places.findIndex((place) => place >= start),
        places.findLastIndex((place) => place < start + part.length) + 1,
      )
}

test('a sentence is found in text without its Markdown', () => {
  const source = 'First **one** [1]. Second `two` is here. Third.'
  const shown = 'First one . Second two is here. Third.'

  assert.equal(seen(source, shown, 'Second `two` is here.'), 'Second two is here.')
  assert.equal(seen(source, shown, 'Third.'), 'Third.')
})

test('it is found in a list, a heading and a quotation', () => {
  assert.equal(seen('## Title\n- one two\n- three', 'Title\none two\nthree', 'three'), 'three')
  assert.equal(seen('> quoted words\n> go on', 'quoted words\ngo on', 'go on'), 'go on')
})

test('emoji and scripts from right to left do not move it', () => {
  assert.equal(seen('🤖 **Robots** 🦾 speak. Never.', '🤖 Robots 🦾 speak. Never.', 'Never.'), 'Never.')
  assert.equal(seen('**تنشر** العقدة. لا شيء.', 'تنشر العقدة. لا شيء.', 'لا شيء.'), 'لا شيء.')
})

test('a character the source does not have moves nothing after it', () => {
  assert.equal(seen('one [1] two. three', 'one\u00a0 two. three', 'three'), 'three')
})
