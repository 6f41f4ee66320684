import assert from 'node:assert/strict'
import { test } from 'node:test'

import { strings as english } from '../src/strings/en.js'
import { languageOf, wordsIn, type Language, type Strings } from '../src/strings/strings.js'

const LANGUAGES: Language[] = ['en', 'de', 'fr', 'es', 'pt', 'zh', 'ja', 'ar']
const slots = (sentence: string) => (sentence.match(/\{\w+\}/g) ?? []).sort()

for (const language of LANGUAGES) {
  test(`${language} says everything, and fills in the same`, async () => {
    const words = await wordsIn(language)

    for (const key of Object.keys(english) as (keyof Strings)[]) {
      assert.ok(words[key].trim(), key)
      assert.deepEqual(slots(words[key]), slots(english[key]), key)
      if (language !== 'en' && english[key].length > 20) assert.notEqual(words[key], english[key], key)
    }
  })
}

test('a language is found by its tag; those we do not speak get English', () => {
  assert.equal(languageOf('pt-BR'), 'pt')
  assert.equal(languageOf('zh-Hans'), 'zh')
  assert.equal(languageOf('AR'), 'ar')
  assert.equal(languageOf('fi'), 'en')
  assert.equal(languageOf(''), 'en')
  assert.equal(languageOf('constructor'), 'en')
})
