import assert from 'node:assert/strict'
import { test } from 'node:test'

import { mended } from '../src/prose.js'

const MENDED: [string, string][] = [
  ['plain', 'plain'],
  ['some **bo', 'some **bo**'],
  ['some **bold ', 'some **bold**'],
  ['some **bold*', 'some **bold**'],
  ['some **bold** text', 'some **bold** text'],
  ['some *it', 'some *it*'],
  ['some **bold *it', 'some **bold *it***'],
  ['some *', 'some '],
  ['some `co', 'some `co`'],
  ['some `co` an', 'some `co` an'],
  ['a marker [', 'a marker '],
  ['a marker [12', 'a marker '],
  ['a marker [1]', 'a marker [1]'],
  ['end \\', 'end '],
  ['text\n-', 'text\n'],
  ['text\n- ', 'text\n'],
  ['text\n1.', 'text\n'],
  ['text\n##', 'text\n'],
  ['- one\n- two', '- one\n- two'],
  ['* one *it', '* one *it*'],
  ['first **open\n\nsecond', 'first **open\n\nsecond'],
  ['```python\nx = [1', '```python\nx = [1'],
  ['```python\nx **', '```python\nx **'],
  ['```python\nx\n``', '```python\nx'],
  ['```python\nx\n```\nthen **b', '```python\nx\n```\nthen **b**'],
  ['\n\n| A | B |', '\n\n| A | B |\n|-|-|'],
  ['\n\n| A | B |\n| --', '\n\n| A | B |\n|-|-|'],
  ['\n\n| A | B |\n| - | - |\n| 1', '\n\n| A | B |\n| - | - |\n| 1'],
]

for (const [text, expected] of MENDED) {
  test(`half-written: ${JSON.stringify(text)}`, () => {
    assert.equal(mended(text), expected)
  })
}
