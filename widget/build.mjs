// Builds the widget into the backend, which serves it. The same sources give the same bytes, so that CI can tell
// whether what is committed is what they make: npm run build && git diff --exit-code

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

import { build } from 'esbuild'
import { minify } from 'terser'

import { TARGET, ours } from './plugin.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const out = process.argv[2] ?? `${here}../backend/src/chatbot_api/static/widget`
const LANGUAGES = ['en', 'de', 'fr', 'es', 'pt', 'zh', 'ja', 'ar']
const LIBRARIES = { marked: 'lib/marked.esm.js', dompurify: 'dist/purify.es.mjs' }
const PREAMBLE = { 'askbook-panel': '/*! with marked and DOMPurify, see licenses.txt */' }
/** Bytes after gzip -9. The loader is on every page, the panel is fetched on the first opening. */
const BUDGET = { 'askbook.js': 2_048, 'askbook-panel.js': 35_840 }

async function built(name, entry, wrapped = false) {
  const {
    outputFiles: [{ text }],
  } = await build({
    absWorkingDir: here,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    charset: 'utf8',
    legalComments: 'none', // they are in licenses.txt, whole
    target: TARGET,
    format: 'esm',
    plugins: [ours],
    write: false,
    logLevel: 'warning',
  })
  // A script without exports is wrapped by hand: esbuild's own wrapper brings helpers along that no browser needs.
  const { code } = await minify(wrapped ? `(()=>{${text}})()` : text, {
    module: !wrapped,
    ecma: 2020,
    compress: { passes: 3, ecma: 2020 },
    format: { ecma: 2020, preamble: PREAMBLE[name] },
  })
  const bytes = Buffer.from(`${code}\n`)
  await writeFile(`${out}/${name}.js`, bytes)
  const packed = gzipSync(bytes, { level: 9 }).length
  const most = BUDGET[`${name}.js`]
  console.log(
    `${`${name}.js`.padEnd(18)}${String(bytes.length).padStart(8)} bytes${String(packed).padStart(8)} gzip${most ? ` of ${most}` : ''}`,
  )
  if (most && packed > most) throw new Error(`${name}.js is ${packed - most} bytes too large`)
}

async function licenses() {
  const texts = Object.entries(LIBRARIES).map(async ([name, file]) => {
    const of = async (path) => readFile(`${here}node_modules/${name}/${path}`, 'utf8')
    const { version, homepage } = JSON.parse(await of('package.json'))
    const notices = (await of(file)).match(/\/\*!?[^*]*(?:\*(?!\/)[^*]*)*?Copyright[\s\S]*?\*\//gi) ?? []
    return (
      [
        `${name} ${version}, ${homepage}, in askbook-panel.js, cut down to what is used there.`,
        ...notices,
        await of('LICENSE'),
      ]
        .map((part) => part.trim())
        .join('\n\n') + '\n'
    )
  })
  return (await Promise.all(texts)).join(`\n${'-'.repeat(80)}\n\n`)
}

await mkdir(out, { recursive: true })
await built('askbook', 'src/loader.ts', true)
await built('askbook-panel', 'src/panel.ts')
for (const part of ['page', 'later', 'style']) await built(`askbook-${part}`, `src/${part}.ts`)
await writeFile(`${out}/licenses.txt`, await licenses())
for (const language of LANGUAGES) await built(`askbook-${language}`, `src/strings/${language}.ts`)
