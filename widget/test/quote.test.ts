import assert from 'node:assert/strict'
import { test } from 'node:test'

import { findLetters, lettersOf, shownOf } from '../src/quote.js'

function found(page: string, quote: string, from = 0): string | null {
  const letters = lettersOf(page)
  const range = findLetters(letters.text, lettersOf(shownOf(quote)).text, from)
  return range && page.slice(letters.at[range[0]], letters.at[range[1]]! + 1)
}

test('a quote of Markdown is found in what the page shows', () => {
  assert.equal(
    found('Intro. A node publishes messages to a topic, today.', 'A node **publishes** messages\nto a `topic`'),
    'A node publishes messages to a topic',
  )
  assert.equal(found('10the default, which is right', '| `10` | the default |'), '10the default')
  assert.equal(found('See the guide for more.', 'See [the guide](/docs/guide#x) for more'), 'See the guide for more')
  assert.equal(found('Hello world', 'Hello <b class="x">world</b>'), 'Hello world')
})

test('it is found in any script, and whatever its case', () => {
  assert.equal(found('前文。节点向话题发布消息。后文', '节点向话题发布消息'), '节点向话题发布消息')
  assert.equal(found('قبل. تنشر العقدة الرسائل. بعد', 'تنشر العقدة الرسائل'), 'تنشر العقدة الرسائل')
  assert.equal(found('Straße İstanbul end', 'STRAßE İSTANBUL'), 'Straße İstanbul')
  assert.equal(found('a 𝔸𝔹 b', '𝔸𝔹')?.slice(0, 2), '𝔸')
})

test('of several, it is the first one after the heading', () => {
  const page = 'one two three. PART one two three.'
  const from = lettersOf('one two three. PART').text.length
  const range = findLetters(lettersOf(page).text, 'onetwothree', from)

  assert.equal(range?.[0], from)
})

test('where the page tells a part of it differently, beginning and end are looked for', () => {
  const page =
    'Before. A node publishes its many messages to a topic EXTRA whenever it has something to say about it. After.'
  const quote = 'A node publishes its many messages to a topic whenever it has something to say about it.'

  assert.equal(found(page, quote), page.slice(8, -8))
})

test('what is not there is not found', () => {
  assert.equal(found('Something else entirely', 'A node publishes messages to a topic'), null)
  assert.equal(found('x', ''), null)
  assert.equal(found('short', 'tiny'), null)
})
