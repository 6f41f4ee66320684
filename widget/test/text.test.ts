import assert from 'node:assert/strict'
import { test } from 'node:test'

import { cut, fill, lengthInPoints, unitsOf } from '../src/text.js'

test('offsets in code points become offsets in UTF-16 units', () => {
  const text = 'a🤖b🦾c'

  assert.deepEqual(unitsOf(text, [0, 1, 2, 3, 4, 5]), [0, 1, 3, 4, 6, 7])
  assert.deepEqual(unitsOf(text, [5, 0, 2]), [7, 0, 3])
  assert.deepEqual(unitsOf(text, [99]), [7])
})

test('without emoji, and from right to left, both count the same', () => {
  assert.deepEqual(unitsOf('تنشر العقدة', [0, 4, 5, 99]), [0, 4, 5, 11])
})

test('families, flags and accents of several code points are counted as such', () => {
  const text = '👨‍👩‍👧🇫🇷é.'
  const points = [...text]

  assert.deepEqual(
    unitsOf(
      text,
      points.map((_, at) => at),
    ),
    points.map((_, at) => points.slice(0, at).join('').length),
  )
  assert.equal(lengthInPoints(text), points.length)
})

test('cutting leaves no half of a character', () => {
  assert.equal(cut('🤖🤖🤖', 2), '🤖🤖')
  assert.equal(cut('ab', 5), 'ab')
})

test('a sentence is filled in', () => {
  assert.equal(fill('Try again in {n} s', { n: 3 }), 'Try again in 3 s')
  assert.equal(fill('{n}: {title} {other}', { n: 1, title: '$& {n}' }), '1: $& {n} {other}')
})
