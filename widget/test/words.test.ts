import assert from 'node:assert/strict'
import { test } from 'node:test'

import { asMarkdown } from '../src/copying.js'
import { strings as de } from '../src/strings/de.js'
import { strings as say } from '../src/strings/en.js'
import type { Trouble } from '../src/trouble.js'
import { modeOf } from '../src/view/answer.js'
import { wordsOf } from '../src/view/words.js'
import { answer, citation } from './fixtures.js'

const trouble = (rest: Partial<Trouble>): Trouble => ({ code: 'x', status: 0, detail: '', retryAfter: null, ...rest })

test('who wrote an answer is told as it is', () => {
  assert.equal(modeOf(answer(), 'generated', say), say.byModel)
  assert.equal(modeOf(answer({ citations: [] }), 'generated', say), say.uncited)
  assert.equal(modeOf(answer({ mode: 'extractive' }), 'generated', say), say.modelDown)
  assert.equal(modeOf(answer({ mode: 'extractive' }), 'extractive', say), say.quoted)
  assert.equal(modeOf(answer({ mode: 'search' }), 'generated', say), say.pagesOnly)
  assert.equal(modeOf(answer({ state: 'not_in_docs' }), 'generated', say), '')
})

test('every trouble has a sentence and a way forward', () => {
  const cases: [Partial<Trouble>, boolean, boolean, string][] = [
    [{ code: 'unreachable' }, true, false, 'retry,search'],
    [{ code: 'unreachable' }, false, false, 'retry,search'],
    [{ code: 'cut_off' }, true, false, 'retry'],
    [{ code: 'unknown_page', status: 422 }, true, true, 'askBook'],
    [{ code: 'thread_busy', status: 409 }, true, false, 'retry'],
    [{ code: 'invalid_request', status: 422 }, true, false, 'reword'],
    [{ code: 'too_large', status: 413 }, true, false, 'reword'],
    [{ code: 'limited', status: 429 }, true, false, 'retry,search'],
    [{ code: 'search_unavailable', status: 503 }, true, false, 'retry,search'],
    [{ code: 'internal', status: 500 }, true, false, 'retry'],
    [{ code: 'not_an_answer' }, true, false, 'retry'],
  ]
  for (const [rest, online, pageOnly, ways] of cases) {
    const words = wordsOf(trouble(rest), online, pageOnly, 'en', say)
    assert.ok(words.sentence, rest.code)
    assert.equal(words.ways.join(), ways, rest.code)
  }
})

test('the server is quoted in English, and beside our words in any other language', () => {
  const told = trouble({ status: 503, code: 'index_missing', detail: 'Not indexed yet.' })

  assert.deepEqual(wordsOf(told, true, false, 'en', say), {
    sentence: 'Not indexed yet.',
    detail: '',
    ways: ['retry', 'search'],
  })
  assert.deepEqual(wordsOf(told, true, false, 'de', de), {
    sentence: de.unavailable,
    detail: 'Not indexed yet.',
    ways: ['retry', 'search'],
  })
})

test('a copied answer is Markdown whose markers are links', () => {
  const here = { href: 'https://book.example/docs/intro', canonical: '', reader: '' }
  const citations = [
    citation(1, { url: '/docs/topics#a', heading_path: ['A "B"', 'C'] }),
    citation(2, { url: 'javascript:1' }),
  ]

  assert.equal(
    asMarkdown(answer({ citations, response: 'Nodes [1] `x[1]` [2]. ' }), here),
    'Nodes [1] `x[1]` [2].\n\n[1]: <https://book.example/docs/topics#a> "A \\"B\\" › C"\n',
  )
})
