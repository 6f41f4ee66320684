import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

test('the built files are the same each time, and Node can import them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'askbook-widget-'))
  try {
    const [one, two] = [join(folder, 'one'), join(folder, 'two')]
    for (const out of [one, two]) await promisify(execFile)(process.execPath, ['build.mjs', out])
    const names = await readdir(one)

    assert.ok(names.includes('askbook.js') && names.includes('askbook-panel.js'), names.join())
    for (const name of names) {
      assert.ok((await readFile(join(one, name))).equals(await readFile(join(two, name))), name)
      if (name.endsWith('.js')) {
        // As a module, and as what CommonJS makes of it.
        await import(join(one, name))
        if (name === 'askbook.js')
          await promisify(execFile)(process.execPath, ['-e', `require(${JSON.stringify(join(one, name))})`])
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
