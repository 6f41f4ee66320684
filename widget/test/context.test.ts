import assert from 'node:assert/strict'
import { test } from 'node:test'

import { scopeOf } from '../src/context.js'
import type { Config } from '../src/wire.js'

const CONFIG: Config = {
  version: '1',
  mode: 'generated',
  site_url: '',
  versions: ['current', '1.0.0', '2.x'],
  locales: ['en', 'pt-BR'],
  max_query: 4000,
}
const SILENT = { versions: [''], tag: 'default', locale: '' }

test('version and locale are those of the page, if the index knows them', () => {
  assert.deepEqual(scopeOf({ versions: ['1.0.0'], tag: '', locale: 'en' }, CONFIG), { version: '1.0.0', locale: 'en' })
  assert.deepEqual(scopeOf({ versions: [''], tag: 'docs-my-plugin-2.x', locale: '' }, CONFIG), { version: '2.x' })
})

test('a locale is found by its language', () => {
  assert.deepEqual(scopeOf({ ...SILENT, locale: 'en-GB' }, CONFIG), { locale: 'en' })
  assert.deepEqual(scopeOf({ ...SILENT, locale: 'pt' }, CONFIG), { locale: 'pt-BR' })
  assert.deepEqual(scopeOf({ ...SILENT, locale: 'PT-br' }, CONFIG), { locale: 'pt-BR' })
})

test('what the index does not know is not asked for', () => {
  assert.deepEqual(scopeOf({ versions: ['9'], tag: 'docs-default-9', locale: 'fi' }, CONFIG), {})
  assert.deepEqual(scopeOf(SILENT, CONFIG), {})
  assert.deepEqual(scopeOf({ versions: ['1.0.0'], tag: '', locale: 'en' }, null), {})
})
