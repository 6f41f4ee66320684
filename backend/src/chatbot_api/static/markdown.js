// The Markdown of an answer as nodes. Links, images and HTML do not exist here: they stay the text they are.

import { el } from './dom.js'

const FENCE = /^ {0,3}(`{3,}|~{3,}) *([^`]*)$/
const HEADING = /^ {0,3}(#{1,6})[ \t]+(\S.*)$/
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/
const QUOTE = /^ {0,3}> ?/
const ITEM = /^( *)([-*+]|(\d{1,9})[.)])(?:[ \t]+(.*)|)$/
const MARKERS = /^ *(?:\[\d{1,3}\] *)+$/
const DELIMITERS = /^ *\|? *:?-+:? *(?:\| *:?-+:? *)*\|? *$/
const MARKER = /\[(\d{1,3})\]/y
const ESCAPABLE = /[!-/:-@[-`{-~]/
const DEEPEST = 8

/**
 * `chipOf(number)` gives the node for a marker, or null where the number is only a number.
 * `unfinished`: more is to come, so what is open at the end is shown as if it were closed.
 */
export function render(text, chipOf, { unfinished = false } = {}) {
  const fragment = document.createDocumentFragment()
  fragment.append(...blocks(text.split('\n'), chipOf, unfinished, 0))
  return fragment
}

function blocks(lines, chipOf, unfinished, depth) {
  const nodes = []
  let at = 0
  const open = () => unfinished && at >= lines.length
  const take = (fits) => {
    const start = at
    while (at < lines.length && fits(lines[at])) at++
    return lines.slice(start, at)
  }
  while (at < lines.length) {
    const line = lines[at]
    let found
    if (!line.trim()) {
      at++
    } else if ((found = FENCE.exec(line))) {
      at++
      const closes = new RegExp(`^ {0,3}${found[1][0]}{${found[1].length},} *$`)
      const body = take((other) => !closes.test(other))
      at++
      nodes.push(codeBlock(body.join('\n'), found[2].trim()))
    } else if (isMaths(line)) {
      nodes.push(maths())
    } else if ((found = HEADING.exec(line))) {
      at++
      const level = Math.min(found[1].length + 2, 6)
      nodes.push(el(`h${level}`, {}, ...inline(found[2].trimEnd().replace(/[ \t]#+$/, ''), chipOf, open())))
    } else if (RULE.test(line)) {
      at++
      nodes.push(el('hr'))
    } else if (QUOTE.test(line) && depth < DEEPEST) {
      const inner = take((other) => QUOTE.test(other)).map((other) => other.replace(QUOTE, ''))
      nodes.push(el('blockquote', {}, ...blocks(inner, chipOf, open(), depth + 1)))
    } else if (ITEM.test(line) && depth < DEEPEST) {
      nodes.push(list())
    } else if (isTable(at)) {
      nodes.push(table())
    } else {
      const first = at
      const told = take((other) => at === first || (other.trim() && !interrupts(at)))
      const text = told.map((other) => other.trimStart()).join('\n').trimEnd()
      const words = inline(text, chipOf, open())
      const isLabel = words.length === 1 && words[0].nodeName === 'STRONG' // of the tab or admonition that follows
      const kind = told.every((other) => MARKERS.test(other)) ? 'markers' : isLabel && 'label'
      nodes.push(el('p', { class: kind }, ...words))
    }
  }
  return nodes

  function interrupts(index) {
    const line = lines[index]
    if (FENCE.test(line) || isMaths(line) || HEADING.test(line) || RULE.test(line)) return true
    if (depth < DEEPEST && QUOTE.test(line)) return true
    const item = depth < DEEPEST && ITEM.exec(line)
    return Boolean(item && item[4] && (!item[3] || Number(item[3]) === 1)) || isTable(index)
  }

  function maths() {
    const first = lines[at++].trim().slice(2)
    if (first.endsWith('$$')) return formula([first.slice(0, -2)])
    const body = take((other) => !other.trimEnd().endsWith('$$'))
    const last = at < lines.length ? lines[at++].trimEnd().slice(0, -2) : ''
    return formula([first, ...body, last])
  }

  function isTable(index) {
    const next = lines[index + 1]
    if (!lines[index].includes('|')) return false
    if (next === undefined) return unfinished && lines[index].startsWith('|')
    return DELIMITERS.test(next) && next.includes('|') && next.includes('-')
  }

  function table() {
    const rows = take((line) => line.includes('|')).map(cells)
    const row = (name, values) => el('tr', {}, ...values.map((value) => el(name, {}, ...inline(value, chipOf, false))))
    const body = rows.slice(2).map((values) => row('td', rows[0].map((_, column) => values[column] ?? '')))
    return el('div', { class: 'wide' },
      el('table', {}, el('thead', {}, row('th', rows[0])), el('tbody', {}, ...body)))
  }

  function list() {
    const [, indent, mark, number] = ITEM.exec(lines[at])
    const items = []
    let loose = false
    let blank = false
    while (at < lines.length) {
      const line = lines[at]
      const item = ITEM.exec(line)
      if (item && item[1].length < indent.length + 2 && !RULE.test(line)) {
        if (/\d/.test(mark) !== /\d/.test(item[2])) break
        loose ||= blank && items.length > 0
        items.push([item])
      } else if (!line.trim()) {
        items.at(-1).push('')
      } else if (/^ {2}/.test(line) || (!blank && !MARKERS.test(line) && !interrupts(at))) {
        items.at(-1).push(line)
      } else break
      blank = !line.trim()
      at++
    }
    const nodes = items.map(([item, ...rest], index) => {
      const inner = [item[4] ?? '', ...dedent(rest, item[1].length + item[2].length + 1)]
      const content = blocks(inner, chipOf, open() && index === items.length - 1, depth + 1)
      // A short item is a line, not a paragraph.
      if (!loose && content[0]?.nodeName === 'P') content.unshift(...content.shift().childNodes)
      return el('li', {}, ...content)
    })
    return number === undefined ? el('ul', {}, ...nodes) : el('ol', { start: Number(number) }, ...nodes)
  }
}

/** Takes the indentation of an item's further lines away, as far as they share it. */
function dedent(lines, most) {
  const indents = lines.map((line) => line.search(/[^ ]/)).filter((indent) => indent > 0)
  const shared = Math.min(most, ...indents)
  return lines.map((line) => line.slice(Math.min(shared, line.length - line.trimStart().length)))
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, '').replace(/(?<!\\)\|$/, '')
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'))
}

function isMaths(line) {
  const [before, inner, ...more] = line.trim().split('$$')
  return before === '' && inner !== undefined && (!more.length || (more.length === 1 && more[0] === ''))
}

function formula(lines) {
  const text = lines.join('\n').trim().replace(/\\([!-/:-@[-`{-~])/g, '$1')
  return el('pre', { class: 'maths' }, el('code', {}, text))
}

function codeBlock(text, info) {
  const [language = ''] = info.split(/[\s{]/)
  const label = /title=["']([^"']+)/.exec(info)?.[1] ?? language
  return el('div', { class: 'code' },
    el('div', { class: 'code-head' },
      el('span', {}, label), el('button', { type: 'button', class: 'quiet', 'data-copy': true }, 'Copy')),
    el('pre', {}, el('code', {}, text)))
}

function inline(text, chipOf, unfinished) {
  const nodes = []
  const unclosed = new Set()
  let plain = ''
  const push = (node) => {
    if (plain) nodes.push(document.createTextNode(plain))
    plain = ''
    nodes.push(node)
  }
  let at = 0
  while (at < text.length) {
    const char = text[at]
    if (char === '\\' && ESCAPABLE.test(text[at + 1] ?? '')) {
      plain += text[at + 1]
      at += 2
    } else if (char === '\n' || text.startsWith('\\\n', at)) {
      if (char === '\\' || plain.endsWith('  ')) push(el('br'))
      else plain += '\n'
      at += char === '\\' ? 2 : 1
    } else if (char === '`') {
      const run = runAt(text, at)
      const end = closingTicks(text, at + run, run)
      if (end < 0) plain += '`'.repeat(run)
      else push(el('code', {}, text.slice(at + run, end).replace(/^ (.*\S.*) $/, '$1')))
      at = end < 0 ? at + run : end + run
    } else if (char === '[' && markerAt(at)) {
      at = MARKER.lastIndex
    } else if (char === '*' || char === '_' || char === '~') {
      at = emphasis(char)
    } else {
      plain += char
      at++
    }
  }
  if (plain) nodes.push(document.createTextNode(plain))
  return nodes

  function markerAt(index) {
    MARKER.lastIndex = index
    const found = MARKER.exec(text)
    const chip = found && chipOf(Number(found[1]))
    if (!chip) return false
    plain = plain.replace(/[ \n]$/, '\u00a0') // a number never begins a line
    push(chip)
    MARKER.lastIndex = index + found[0].length
    return true
  }

  function emphasis(mark) {
    const run = runAt(text, at)
    const size = mark === '~' ? 2 : Math.min(run, 3)
    const start = at + size
    const after = text[at + run] ?? ' '
    const opens = run >= size && run < 4 && after.trim() && !(mark === '_' && isWord(text[at - 1]))
    const kind = mark + size
    let end = opens && !unclosed.has(kind) ? closingMark(text, start, mark, size) : -1
    if (end < 0) {
      if (opens) unclosed.add(kind)
      if (unfinished && mark === '*' && at + run === text.length) return text.length // half of a mark
      if (!opens || !unfinished || kind !== '*2') {
        plain += text.slice(at, at + run)
        return at + run
      }
      end = text.length
    }
    const inner = inline(text.slice(start, end), chipOf, unfinished && end === text.length)
    if (mark === '~') push(el('del', {}, ...inner))
    else if (size === 1) push(el('em', {}, ...inner))
    else push(el('strong', {}, ...(size === 3 ? [el('em', {}, ...inner)] : inner)))
    return end + size
  }
}

function runAt(text, at) {
  let end = at
  while (text[end] === text[at]) end++
  return end - at
}

/** Where as many backticks follow on this line; -1 where none do. */
function closingTicks(text, from, run) {
  for (let at = from; at < text.length && text[at] !== '\n'; at++) {
    if (text[at] !== '`') continue
    const other = runAt(text, at)
    if (other === run) return at
    at += other - 1
  }
  return -1
}

function closingMark(text, from, mark, size) {
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') {
      at++
    } else if (text[at] === '`') {
      const run = runAt(text, at)
      const end = closingTicks(text, at + run, run)
      at = (end < 0 ? at : end) + run - 1
    } else if (text[at] === mark) {
      const run = runAt(text, at)
      const fits = size === 1 ? run % 2 === 1 : run >= size
      if (at > from && fits && text[at - 1].trim() && !(mark === '_' && isWord(text[at + run]))) return at + run - size
      at += run - 1
    }
  }
  return -1
}

function isWord(char) {
  return char !== undefined && /[\p{L}\p{N}]/u.test(char)
}
