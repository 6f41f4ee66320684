// How esbuild is to treat our files, and what of the two libraries is left out.

import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'

import { transform } from 'esbuild'

export const TARGET = ['chrome111', 'firefox113', 'safari16.4']

export const ours = {
  name: 'ours',
  setup({ onLoad, onResolve }) {
    // Each file that is loaded later keeps its own name and stays a file.
    onResolve({ filter: /^\.\.?\/[\w/]+\.js$/ }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path: `./askbook-${basename(path)}`, external: true } : undefined,
    )
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, 'utf8'), { loader: 'css', minify: true, target: TARGET })
      return { contents: code.trim().replace(/(?<=--[\w-]+:) |(?<=,) /g, ''), loader: 'text' }
    })
    onLoad({ filter: /marked\.esm\.js$/ }, async ({ path }) => ({ contents: lexerOnly(await readFile(path, 'utf8')) }))
    onLoad({ filter: /purify\.es\.mjs$/ }, async ({ path }) => ({
      contents: emptiedLists(await readFile(path, 'utf8')),
    }))
  },
}

// What of the libraries we do not use, and no bundler can tell. Each cut checks that it found what it knows: another
// version of a library stops the build rather than changing what comes out of it.

/** Of marked, the lexer: the rest is kept alive by an instance that the module makes of everything it has. */
function lexerOnly(code) {
  const exported = /export\{([^}]+)\}/.exec(code)?.[1] ?? ''
  const nameOf = (as) => new RegExp(`([\\w$]+) as ${as}\\b`).exec(exported)?.[1]
  const [lexer, tokenizer, marked] = ['Lexer', 'Tokenizer', 'Marked'].map(nameOf)
  const instance = marked && new RegExp(`;var [\\w$]+=new ${marked.replaceAll('$', '\\$')};`).exec(code)
  if (!lexer || !tokenizer || !instance) throw new Error('marked is built in another way than before')
  return `${code.slice(0, instance.index)};export{${lexer} as Lexer,${tokenizer} as Tokenizer}`
}

/**
 * Of DOMPurify, everything but its own lists of the elements and attributes that pass by default: SVG, MathML, all of
 * HTML. We name a shorter list, and an empty one lets nothing through that a full one would not.
 */
function emptiedLists(code) {
  const lists = /\bconst (?:html|svg|svgFilters|svgDisallowed|mathMl|mathMlDisallowed)(?:\$1)? = freeze\(\[[^\]]*\]\)/g
  const found = code.match(lists)?.length
  if (found !== 9) throw new Error(`DOMPurify has ${found} of the 9 lists that we know`)
  return code.replace(lists, (list) => list.replace(/\[[^\]]*\]/, '[]'))
}
