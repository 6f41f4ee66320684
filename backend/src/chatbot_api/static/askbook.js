// The page at `/`: the field, the turns, and what the server says about itself.

import { Failure, chat } from './chat.js'
import { announce, el } from './dom.js'
import { showCards } from './sources.js'
import { Turn, withCommand } from './turn.js'

const $ = (id) => document.getElementById(id)
const [form, field, send, turns, hint] = ['ask', 'question', 'send', 'turns', 'hint'].map($)
const usualHint = hint.textContent
const turnOf = new WeakMap()
let longest = 4000
let threadId
let running = null

const closeCard = showCards(turns, $('card'), (chip) =>
  turnOf.get(chip.closest('.turn'))?.citations.get(Number(chip.dataset.source)))

// Asking ------------------------------------------------------------------------------------------------

form.addEventListener('submit', (event) => {
  event.preventDefault()
  if (running) running.abort()
  else ask(field.value.trim())
})
send.addEventListener('click', (event) => {
  if (event.detail > 1) event.preventDefault() // the second click of a double click would stop what the first began
})
field.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  if (!running) form.requestSubmit()
})
field.addEventListener('input', () => {
  fit()
  hint.textContent = usualHint
  hint.classList.remove('wrong')
})

function ask(question) {
  if (!question) return field.focus()
  const length = [...question].length
  if (length > longest) {
    hint.textContent = `The question has ${length} characters, ${length - longest} too many`
    hint.classList.add('wrong')
    announce(hint.textContent)
    return
  }
  field.value = ''
  fit()
  $('index-note').hidden = true
  const turn = new Turn(question, { retry: run, reword })
  turnOf.set(turn.element, turn)
  turns.append(turn.element)
  run(turn)
  if (turns.children.length > 1) {
    const behavior = matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth'
    turn.element.scrollIntoView({ behavior, block: 'start' })
  }
}

async function run(turn) {
  if (running) return
  const mine = new AbortController()
  running = mine
  closeCard()
  if (!form.contains(document.activeElement)) send.focus({ preventScroll: true })
  turn.begin()
  showState()
  try {
    for await (const { name, data } of chat({ query: turn.question, thread_id: threadId, scope: scope() }, mine.signal)) {
      turn.on(name, data)
      if (name === 'done') threadId = data.thread_id // an answer that was not finished is no part of the thread
    }
  } catch (cause) {
    if (mine.signal.aborted) turn.stopped()
    else if (cause instanceof Failure) turn.fail(cause)
    else {
      turn.fail(new Failure('This page failed to show the answer. Please try again.'))
      throw cause
    }
  } finally {
    running = null
    showState()
  }
}

function reword(turn) {
  field.value = turn.question
  fit()
  field.focus()
}

function showState() {
  document.body.classList.add('asked')
  send.textContent = running ? 'Stop' : 'Ask'
  send.classList.toggle('stop', Boolean(running))
  if (threadId) field.placeholder = 'Ask a follow-up question'
  $('anew').hidden = false
}

/** As many lines as the question has, where CSS cannot do that alone. */
function fit() {
  if (CSS.supports('field-sizing', 'content')) return
  field.style.height = 'auto'
  field.style.height = `${field.scrollHeight}px`
}

function scope() {
  const chosen = [...$('scope').querySelectorAll('select')].filter((select) => select.value)
  return chosen.length ? Object.fromEntries(chosen.map((select) => [select.name, select.value])) : undefined
}

// What the server says about itself -----------------------------------------------------------------------

async function look() {
  const [config, health] = await Promise.all([json('/config'), json('/health')])
  if (config) {
    longest = config.max_query
    showScope(config)
  }
  showIndex(health)
  const writes = config?.mode === 'generated'
    ? 'A model writes the answers, from passages of the book only.'
    : 'Answers are passages of the book, word for word. No model writes.'
  const built = health?.index &&
    `${health.components.index.detail}, indexed on ${new Date(health.index.built_at).toLocaleDateString('en-GB', { dateStyle: 'long' })}.`
  $('about').textContent = config ? [writes, built].filter(Boolean).join(' ') : ''
}

async function json(path) {
  try {
    const response = await fetch(path, { headers: { Accept: 'application/json' } })
    return await response.json() // `/health` has a body with status 503, too
  } catch {
    return null
  }
}

function showIndex(health) {
  const note = $('index-note')
  const index = health?.components?.index
  const sentence = health ? (index && index.status !== 'ready' ? index.detail : '') : 'The server cannot be reached.'
  note.hidden = !sentence
  if (!sentence) return
  note.classList.toggle('wrong', index?.status !== 'degraded')
  note.firstElementChild.replaceChildren(...withCommand(sentence))
}

/** A book of one version in one language needs no choice. */
function showScope({ versions, locales }) {
  const choices = [['version', 'Latest version', versions], ['locale', 'Main language', locales]]
  const selects = choices.filter(([, , values]) => values.length > 1).map(([name, usual, values]) =>
    el('select', { name, 'aria-label': name === 'version' ? 'Version' : 'Language' },
      el('option', { value: '' }, usual), ...values.map((value) => el('option', { value }, value))))
  $('scope').replaceChildren(...selects)
  $('scope').hidden = !selects.length
}

$('index-note').lastElementChild.addEventListener('click', async () => {
  await look()
  if ($('index-note').hidden) field.focus()
})
look()
