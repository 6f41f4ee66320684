// Runs browser/checks.ts in Chromium, with the libraries as the build trims them.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

import { build } from 'esbuild'

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--virtual-time-budget=120000',
  '--dump-dom',
]

const skip = existsSync(CHROMIUM) ? false : `there is no ${CHROMIUM}`

test('in a real browser', { skip }, async (t) => {
  const widget = process.cwd()
  const { ours } = (await import(`${widget}/plugin.mjs`)) as { ours: import('esbuild').Plugin }
  const folder = await mkdtemp(join(tmpdir(), 'askbook-widget-'))
  try {
    await build({
      absWorkingDir: widget,
      entryPoints: ['test/browser/checks.ts'],
      bundle: true,
      format: 'iife',
      charset: 'utf8',
      plugins: [ours],
      outfile: join(folder, 'checks.js'),
    })
    await writeFile(
      join(folder, 'page.html'),
      '<!doctype html><meta charset=utf-8><title>x</title><body><script src=checks.js></script>',
    )
    const { stdout } = await promisify(execFile)(
      CHROMIUM,
      [...ARGUMENTS, `--user-data-dir=${folder}/profile`, `file://${folder}/page.html`],
      { maxBuffer: 64_000_000, timeout: 180_000 },
    )
    const written = /<pre id="report">([\s\S]*?)<\/pre>/.exec(stdout)?.[1]
    assert.ok(written, 'the checks did not come to an end')
    const report = JSON.parse(plain(written)) as { name: string; wrong: string }[]

    assert.ok(report.length > 300, `only ${report.length} checks`)
    for (const { name, wrong } of report) await t.test(name, () => assert.equal(wrong, ''))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

function plain(html: string): string {
  const named: Record<string, string> = { lt: '<', gt: '>', quot: '"', nbsp: '\u00a0', amp: '&' }
  return html.replace(/&(lt|gt|quot|nbsp|amp);/g, (_, name: string) => named[name]!)
}
