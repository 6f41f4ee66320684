import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { asMarkdown } from '../src/copying.js'
import { strings as de } from '../src/strings/de.js'
import { strings as say } from '../src/strings/en.js'
import type { Trouble } from '../src/trouble.js'
import { labelOf, notesOf, wordsOf } from '../src/view/words.js'
import { answer, citation } from './fixtures.js'

const trouble = (rest: Partial<Trouble>): Trouble => ({ code: 'x', status: 0, detail: '', retryAfter: null, ...rest })

test('who wrote an answer is told as it is', () => {
  const quoted = (...notice_codes: string[]) => labelOf(answer({ mode: 'extractive', notice_codes }), say)

  assert.equal(labelOf(answer(), say), say.byModel)
  assert.equal(labelOf(answer({ citations: [] }), say), say.uncited)
  assert.equal(labelOf(answer({ mode: 'search' }), say), say.pagesOnly)
  assert.equal(labelOf(answer({ state: 'not_in_docs' }), say), '')
  assert.equal(quoted(), say.quoted)
  assert.equal(quoted('embedder_unavailable'), say.quoted)
  assert.equal(quoted('embedder_unavailable', 'model_unavailable'), say.modelDown)
  assert.equal(quoted('model_rate_limited'), say.modelBusy)
  assert.equal(quoted('model_denied'), say.modelOff)
  assert.equal(quoted('model_refused'), say.modelRefused)
  assert.equal(quoted('model_of_a_later_version'), say.quoted)
})

test('every notice that the server knows is said in the language of the reader, and once', async () => {
  const contract = join(process.cwd(), '../contract/notices.json')
  const notices = JSON.parse(await readFile(contract, 'utf8')) as Record<string, string>

  for (const [code, notice] of Object.entries(notices)) {
    const told = answer({ mode: 'extractive', notice, notice_codes: [code] })
    const { above, below } = notesOf(told, de)
    const label = labelOf(told, de)

    assert.equal([...above, ...below, ...(label === de.quoted ? [] : [label])].length, 1, code)
    assert.ok(![...above, ...below].includes(notice), code)
  }
})

test('what concerns all of an answer is said above it, and what concerns its end below', () => {
  const notice_codes = ['thread_not_found', 'embedder_unavailable', 'answer_too_long', 'threads_unavailable']

  assert.deepEqual(notesOf(answer({ state: 'partial', notice: 'A. B. C. D.', notice_codes }), say), {
    above: [say.partial, say.begunAnew, say.wordsAlone, say.notRemembered],
    below: [say.atItsLongest],
  })
})

test('that something is not borne out is said instead of that it is not in the book', () => {
  const told = answer({ state: 'partial', notice: 'Some.', notice_codes: ['not_borne_out'] })

  assert.deepEqual(notesOf(told, say).above, [say.notBorneOut])
  assert.deepEqual(notesOf({ ...told, notice: '', notice_codes: [] }, say).above, [say.partial])
})

test('of a notice that is not known as a whole the words of the server are shown', () => {
  const notice = 'Only words. And more.'
  const { notice_codes: _, ...before } = answer({ notice })

  for (const told of [
    answer({ notice, notice_codes: ['embedder_unavailable', 'of_a_later_version'] }),
    answer({ notice, notice_codes: ['constructor'] }),
    answer({ notice, notice_codes: [] }),
    before,
  ])
    assert.deepEqual(notesOf(told, say), { above: [notice], below: [] })
  assert.deepEqual(notesOf(answer(), say), { above: [], below: [] })
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
