// What only a browser can tell. Bundled into a page, which writes down how it went; `browser.test.ts` reads that.

import { markGrounding } from '../../src/grounding.js'
import { showMark } from '../../src/highlight.js'
import type { Rules } from '../../src/markdown.js'
import { Prose } from '../../src/prose.js'
import { selectedText } from '../../src/selection.js'
import { samePlace } from '../../src/links.js'
import { unanswered, type Turn } from '../../src/state.js'
import { strings as say } from '../../src/strings/en.js'
import { showAnswer } from '../../src/view/answer.js'
import { TurnView } from '../../src/view/turn.js'
import { answer } from '../fixtures.js'
import { HOSTILE } from './hostile.js'

const PLACES = ['https://book.example/docs/topics#part-1', 'https://book.example/docs/topics#part-2']
const NAMES = new Set(
  'DIV P H4 H5 H6 HR BR UL OL LI BLOCKQUOTE PRE CODE STRONG EM DEL A SPAN TABLE THEAD TBODY TR TH TD'.split(' '),
)
const ATTRIBUTES: Record<string, RegExp> = {
  class: /^(chip|code|code-head|wide|label|markers|origin( adapted)?|unsupported)$/,
  href: /^https:\/\/book\.example\/docs\/topics#part-\d$/,
  start: /^\d+$/,
  tabindex: /^0$/,
  dir: /^ltr$/,
  role: /^mark$/,
  title: /^not borne out$/,
  'aria-description': /^not borne out$/,
}

const report: { name: string; wrong: string }[] = []

async function check(name: string, does: () => void | Promise<void>): Promise<void> {
  try {
    await does()
    report.push({ name, wrong: '' })
  } catch (cause) {
    report.push({ name, wrong: String(cause) })
  }
}

function equal(seen: unknown, expected: unknown): void {
  if (JSON.stringify(seen) !== JSON.stringify(expected))
    throw new Error(`${JSON.stringify(seen)}, not ${JSON.stringify(expected)}`)
}

function el(name: string, className = '', text = ''): HTMLElement {
  const element = document.createElement(name)
  if (className) element.className = className
  element.textContent = text
  return element
}

function written(known = [1, 2]): { root: HTMLElement; prose: Prose; known: number[] } {
  const root = el('div')
  document.body.append(root)
  const rules: Rules = {
    chip: (number) => (known.includes(number) ? el('span', 'chip', String(number)) : null),
    link: (href) => {
      const place = PLACES.find((one) => samePlace(one, href, location.href))
      if (!place) return null
      const link = el('a') as HTMLAnchorElement
      link.href = place
      return link
    },
    codeHead: (language) => {
      const head = el('div', 'code-head')
      head.append(el('span', '', language), el('span', 'origin'))
      return head
    },
  }
  return { root, prose: new Prose(root, rules, (number) => known.includes(number)), known }
}

/** Byte by byte, as the worst of streams would. `after` each piece that brings text. */
function stream(text: string, prose: Prose, after: () => void = () => {}): string {
  const decoder = new TextDecoder()
  let so = ''
  for (const byte of new TextEncoder().encode(text)) {
    const piece = decoder.decode(Uint8Array.of(byte), { stream: true })
    if (!piece) continue
    so += piece
    prose.write(so, true)
    after()
  }
  prose.write(so, false)
  return so
}

function isHarmless(root: HTMLElement): void {
  for (const element of root.querySelectorAll('*')) {
    if (!NAMES.has(element.nodeName)) throw new Error(`<${element.nodeName}>`)
    for (const { name, value } of element.attributes) {
      if (!ATTRIBUTES[name]?.test(value)) throw new Error(`${element.nodeName} ${name}="${value}"`)
    }
  }
}

async function hostile(): Promise<void> {
  for (const [at, input] of HOSTILE.entries()) {
    await check(`hostile ${at}: ${input.slice(0, 60)}`, () => {
      const { root, prose } = written()
      const often = input.length < 300
      stream(`${input}\n\nEND`, prose, () => often && isHarmless(root))
      isHarmless(root)
      if (!root.textContent!.includes('END')) throw new Error('words were lost')
    })
  }
  await new Promise((resolve) => setTimeout(resolve, 1000)) // for what would run or ask later
  await check('nothing has run', () => equal((window as { hit?: unknown }).hit, undefined))
  await check('nothing was asked for', () => {
    equal(
      performance
        .getEntriesByType('resource')
        .map(({ name }) => name)
        .filter((name) => !name.startsWith('file:')),
      [],
    )
  })
}

const MARKDOWN: [string, string][] = [
  [
    'One **two** *three* ~~four~~ `five`',
    '<p>One <strong>two</strong> <em>three</em> <del>four</del> <code>five</code></p>',
  ],
  ['One [1]. Two [2][1]', '<p>One\u00a0<c>1</c>. Two\u00a0<c>2</c><c>1</c></p>'],
  ['Array [0] and [7] and `x[1]`', '<p>Array [0] and [7] and <code>x[1]</code></p>'],
  ['Escaped \\[1\\] \\*not\\*', '<p>Escaped [1] *not*</p>'],
  ['- a\n- b [1]\n  - c', '<ul><li>a</li><li>b\u00a0<c>1</c><ul><li>c</li></ul></li></ul>'],
  ['- a\n\n- b', '<ul><li><p>a</p></li><li><p>b</p></li></ul>'],
  ['3. a\n4. b', '<ol start="3"><li>a</li><li>b</li></ol>'],
  ['## Title [1]\ntext', '<h5>Title\u00a0<c>1</c></h5><p>text</p>'],
  ['> quoted\n> words', '<blockquote><p>quoted\nwords</p></blockquote>'],
  ['a\n\n---\n\nb', '<p>a</p><hr><p>b</p>'],
  ['a  \nb', '<p>a<br>b</p>'],
  ['a\n===', '<p>a\n===</p>'],
  ['```py title="x.py"\nprint(1)\n```', '<code-block x.py>print(1)</code-block>'],
  ['```\na\n\nb', '<code-block >a\n\nb</code-block>'],
  [
    '| A | B |\n|---|---|\n| 1 | `2` [1] |',
    '<table><thead><tr><th>A</th><th>B</th></tr></thead><tbody><tr><td>1</td><td><code>2</code>\u00a0<c>1</c></td></tr></tbody></table>',
  ],
  ['$$\nx\\_1 = \\[y\\]\n$$\n\nb', '<code-block tex>x_1 = [y]</code-block><p>b</p>'],
  ['**npm**\n\ntext\n\n[1] [2]', '<p label><strong>npm</strong></p><p>text</p><p markers><c>1</c>\u00a0<c>2</c></p>'],
  [
    '[words](https://book.example/docs/topics#part-1:~:text=x)',
    '<p><a https://book.example/docs/topics#part-1>words</a></p>',
  ],
  ['[words](https://elsewhere.example/)', '<p>words</p>'],
  ['![alt](https://elsewhere.example/x.png)', '<p>alt</p>'],
  ['<b>bold</b> & &amp; <br>', '<p>&lt;b&gt;bold&lt;/b&gt; &amp; &amp;amp; &lt;br&gt;</p>'],
  ['- [x] done\n- [ ] not', '<ul><li>\u2611 done</li><li>\u2610 not</li></ul>'],
]

/** The parts that are ours, short. */
function shortened(root: HTMLElement): string {
  const copy = root.cloneNode(true) as HTMLElement
  let html = ''
  for (const frame of copy.querySelectorAll('.code')) {
    const language = frame.querySelector('.code-head span')!.textContent
    frame.replaceWith(
      `\u0001code-block ${language}\u0002${frame.querySelector('code')!.textContent}\u0001/code-block\u0002`,
    )
  }
  for (const wide of copy.querySelectorAll('.wide')) wide.replaceWith(...wide.childNodes)
  html = copy.innerHTML
  return html
    .replace(/<span class="chip">(\d+)<\/span>/g, '<c>$1</c>')
    .replace(/<p class="(\w+)">/g, '<p $1>')
    .replace(/<a href="([^"]+)">/g, '<a $1>')
    .replaceAll('\u0001', '<')
    .replaceAll('\u0002', '>')
    .replaceAll('&nbsp;', '\u00a0')
}

async function markdown(): Promise<void> {
  for (const [text, expected] of MARKDOWN) {
    await check(`markdown: ${text.slice(0, 50)}`, () => {
      const whole = written()
      whole.prose.write(text, false)
      equal(shortened(whole.root), expected)
    })
  }
  for (const text of [...MARKDOWN.map(([one]) => one), ...HOSTILE.filter((one) => one.length < 700)]) {
    await check(`streamed is the same as whole: ${text.slice(0, 50)}`, () => {
      const [whole, streamed] = [written(), written()]
      whole.prose.write(stream(text, streamed.prose), false)
      equal(streamed.root.innerHTML, whole.root.innerHTML)
    })
  }
  await check('finished blocks are left alone', () => {
    const { root, prose } = written()
    const text = MARKDOWN.map(([one]) => one).join('\n\nBetween the two.\n\n')
    let first: Node | null = null
    stream(text, prose, () => {
      if (root.childNodes.length > 3) first ??= root.firstChild
    })
    equal(root.firstChild === first && first !== null, true)
  })
  await check('only the end of a text is written anew', () => {
    const { root, prose } = written()
    const text = 'A paragraph of words.\n\n'.repeat(200)
    let changed = 0
    const observer = new MutationObserver(() => {})
    observer.observe(root, { childList: true, subtree: true, characterData: true })
    prose.write(text, true)
    observer.takeRecords()
    for (let size = 1; size <= 20; size++) {
      prose.write(text + 'Something new.'.slice(0, size), true)
      for (const { target } of observer.takeRecords())
        if (target !== root && !root.lastChild!.contains(target)) changed++
    }
    equal(changed, 0)
  })
  await check('a citation that comes after its block becomes a chip all the same', () => {
    const { root, prose, known } = written([])
    const text = 'One [1].\n\nTwo.\n\nThree.\n\nFour.\n\nFive.'
    for (let size = 1; size <= text.length; size++) prose.write(text.slice(0, size), true)
    equal(root.querySelectorAll('.chip').length, 0)
    known.push(1)
    prose.write(text, true)
    equal(root.querySelectorAll('.chip').length, 1)
    equal(root.textContent, 'One\u00a01.Two.Three.Four.Five.')
  })
  await check('what was open in two lines is one block in the end', () => {
    const { root, prose } = written()
    const text = 'foo\n***bold***\n\n1. a\n\n2. b\n\nend'
    stream(text, prose)
    equal(
      shortened(root),
      '<p>foo\n<em><strong>bold</strong></em></p><ol start="1"><li><p>a</p></li><li><p>b</p></li></ol><p>end</p>',
    )
  })
}

async function grounding(): Promise<void> {
  const LABELS = { unsupported: 'not borne out', verbatim: 'from the book', adapted: 'adapted' }
  const marked = (text: string, sentences: string[], code: [string, boolean][] = []) => {
    const { root, prose } = written()
    stream(text, prose)
    const points = (piece: string) => {
      const start = [...text.slice(0, text.indexOf(piece))].length
      return { start, end: start + [...piece].length }
    }
    const steps = markGrounding(
      text,
      prose.blocks,
      {
        unsupported: sentences.map(points),
        code: code.map(([piece, verbatim]) => ({ ...points(piece), verbatim })),
      },
      LABELS,
    )
    while (!steps.next().done);
    isHarmless(root)
    return root
  }
  const words = (root: HTMLElement) =>
    [...root.querySelectorAll('.unsupported')].map(({ textContent }) => textContent).join('|')

  await check('an unsupported sentence is marked', () => {
    equal(words(marked('First [1]. Second one. Third.', ['Second one.'])), 'Second one.')
  })
  await check('emoji before it do not move it', () => {
    equal(
      words(marked('🤖🦾 **Robots** [1].\n\n- 🤖 one\n- Two 🦾 words. Not [2].', ['Two 🦾 words.'])),
      'Two 🦾 words.',
    )
  })
  await check('nor does a script from right to left', () => {
    equal(
      words(marked('تنشر **العقدة** الرسائل [1]. لا شيء يؤيد هذا. نهاية', ['لا شيء يؤيد هذا.'])),
      'لا شيء يؤيد هذا.',
    )
  })
  await check('a sentence of several parts is marked in all of them', () => {
    equal(words(marked('A **b** `c` [1] d. E.', ['A **b** `c` [1] d.'])), 'A |b| |c|\u00a0| d.')
  })
  await check('code says where it is from', () => {
    const one = '```py\nx = 1\n```'
    const two = '```py\ny = 2\n```'
    const root = marked(
      `Text.\n\n${one}\n\nMore.\n\n${two}\n`,
      [],
      [
        [one, true],
        [two, false],
      ],
    )
    equal(
      [...root.querySelectorAll('.origin')].map(({ textContent }) => textContent),
      ['from the book', 'adapted'],
    )
  })
}

const PAGE = `Before. A passage that is quoted stands here, too.`

async function highlights(): Promise<void> {
  const fresh = () => {
    document.querySelector('main')?.remove()
    const main = el('main')
    document.body.append(main)
    return main
  }
  const path = location.pathname
  const marked = () => {
    const [range] = CSS.highlights?.get('askbook') ?? []
    return range
      ? String(range)
      : [...document.querySelectorAll('mark.askbook')].map(({ textContent }) => textContent).join('')
  }
  const add = (parent: Element, name: string, text = '', attributes: Record<string, string> = {}) => {
    const element = el(name, '', text)
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
    parent.append(element)
    return element
  }

  for (const support of ['Highlight', 'mark']) {
    if (support === 'mark') Reflect.deleteProperty(CSS, 'highlights')
    await check(`${support}: words in several elements are marked, after their heading`, async () => {
      const main = fresh()
      add(main, 'p', PAGE)
      add(main, 'h2', 'Heading', { id: 'heading' })
      const paragraph = add(main, 'p', 'A passage ')
      add(paragraph, 'em', 'that is')
      paragraph.append(' quoted stands here')
      equal(await showMark({ path, hash: '#heading', quote: 'A passage *that is* quoted stands\nhere' }), true)
      await new Promise((resolve) => setTimeout(resolve, 500))
      equal(marked(), 'A passage that is quoted stands here')
      const [range] = CSS.highlights?.get('askbook') ?? []
      if (range) equal(paragraph.contains((range as Range).startContainer), true)
      else equal(paragraph.querySelectorAll('mark').length > 0, true)
    })
    await check(`${support}: details and tabs that hide it are opened`, async () => {
      const main = fresh()
      const tabs = add(main, 'div')
      const list = add(tabs, 'ul', '', { role: 'tablist' })
      const panels = add(tabs, 'div')
      for (const name of ['npm', 'pnpm']) {
        const panel = add(panels, 'div', '', { role: 'tabpanel', ...(name === 'pnpm' ? { hidden: '' } : {}) })
        add(list, 'li', name, { role: 'tab' }).addEventListener('click', () => {
          for (const other of panels.children) (other as HTMLElement).hidden = other !== panel
        })
        if (name === 'npm') continue
        const details = add(panel, 'details')
        add(details, 'summary', 'More')
        add(details, 'p', PAGE)
      }
      equal(await showMark({ path, hash: '', quote: 'A passage that is quoted stands here' }), true)
      await new Promise((resolve) => setTimeout(resolve, 500))
      equal((panels.lastElementChild as HTMLElement).hidden, false)
      equal(panels.querySelector('details')!.open, true)
      equal(marked(), 'A passage that is quoted stands here')
    })
    await check(`${support}: what arrives later is found`, async () => {
      const main = fresh()
      const found = showMark({ path, hash: '', quote: 'A passage that is quoted stands here' })
      setTimeout(() => add(main, 'p', PAGE), 700)
      equal(await found, true)
    })
    await check(`${support}: the mark goes when another comes`, async () => {
      const main = fresh()
      add(main, 'p', `${PAGE} Another one is here as well.`)
      await showMark({ path, hash: '', quote: 'A passage that is quoted stands here' })
      await showMark({ path, hash: '', quote: 'Another one is here as well' })
      await new Promise((resolve) => setTimeout(resolve, 500))
      equal(marked(), 'Another one is here as well')
      equal(main.textContent, `${PAGE} Another one is here as well.`)
    })
  }
  await check('words outside of the first article are found as well', async () => {
    const main = fresh()
    add(main, 'article', 'The first of several.')
    add(main, 'article', PAGE)
    equal(await showMark({ path, hash: '', quote: 'A passage that is quoted stands here' }), true)
  })
  await check('what is not there is not waited for for ever', async () => {
    fresh()
    equal(await showMark({ path, hash: '', quote: 'Nobody has written this sentence anywhere' }), false)
  })
  await check('marked words are those of the book only', () => {
    const main = fresh()
    const inside = add(main, 'p', 'Words of the book.')
    const outside = add(document.body, 'p', 'Words of the page.')
    const select = (node: Node) => {
      const range = document.createRange()
      range.selectNodeContents(node)
      getSelection()!.removeAllRanges()
      getSelection()!.addRange(range)
    }
    select(inside)
    equal(selectedText(), 'Words of the book.')
    select(outside)
    equal(selectedText(), '')
    getSelection()!.removeAllRanges()
    equal(selectedText(), '')
  })
}

async function turns(): Promise<void> {
  const asked = { question: 'What?', page: '', selection: '', pageOnly: false }
  const running: Turn = { ...unanswered(asked), key: 1 }
  const done = (rest: Parameters<typeof answer>[0]): Turn => {
    const told = answer(rest)
    return { ...running, phase: 'done', answer: told, text: told.response, citations: told.citations }
  }
  const here = { href: location.href, canonical: '', reader: '' }
  const shown = (turn: Turn): TurnView => {
    const view = new TurnView(turn, { say, language: 'en', here: () => here, online: () => true })
    document.body.replaceChildren(view.element)
    return view
  }
  const texts = (view: TurnView, selector: string) =>
    [...view.element.querySelectorAll(selector)].map((part) => part.textContent)

  await check('the line that told what is going on tells who wrote the answer', () => {
    const view = shown(running)
    const line = view.element.querySelector('.status')
    equal(line?.textContent, say.searching)
    view.update(done({}))
    equal([line?.textContent, line?.className, line?.isConnected], [say.byModel, 'status', true])
  })

  await check('it is read out who wrote an answer, what it lacks, the answer, and how it ends', () => {
    const notice_codes = ['model_rate_limited', 'embedder_unavailable', 'answer_too_long']
    const view = shown(done({ mode: 'extractive', notice: 'A. B. C.', notice_codes }))
    equal(view.spoken(), `${say.modelBusy} ${say.wordsAlone} Nodes talk over topics. ${say.atItsLongest}`)
  })

  await check('an answer that is asked for again has nothing of the one before', () => {
    const view = shown(done({ notice: 'A. B.', notice_codes: ['embedder_unavailable', 'answer_too_long'] }))
    equal(texts(view, '.notes p'), [say.wordsAlone, say.atItsLongest])
    view.update(running)
    equal([texts(view, '.notes p'), view.spoken()], [[], say.searching])
  })

  await check('below the answer are its sources, and nothing that was said above it', () => {
    const told = answer({ mode: 'extractive', state: 'partial', notice: 'A.', notice_codes: ['model_unavailable'] })
    const after = el('div')
    const prose = { prose: el('div'), blocks: [] }
    showAnswer({ answer: told, feedback: null, ...prose, after, here, say })
    equal(after.textContent, `${say.sources}1Module 1TopicsWords of passage 1.`)
  })
}

async function all(): Promise<void> {
  await markdown()
  await grounding()
  await highlights()
  await hostile()
  await turns()
  const out = el('pre', '', JSON.stringify(report))
  out.id = 'report'
  document.body.replaceChildren(out)
}

void all()
