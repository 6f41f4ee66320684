// The page at `/`: the widget, in the reader's language, what is asked there, and what is wrong with it.

const chat = document.querySelector('askbook-chat')
const note = document.getElementById('index-note')
const COMMAND = /(\baskbook [a-z]+(?: [A-Z]+| --[a-z]+)*)/

chat.lang = navigator.language
note.querySelector('button').addEventListener('click', async () => {
  await look()
  if (note.hidden) chat.open()
})
customElements.whenDefined('askbook-chat').then(() => chat.open()) // who comes here comes to ask
for (const select of document.querySelectorAll('select')) {
  select.addEventListener('change', () => chat.setAttribute(select.name, select.value))
}
look()

async function look() {
  const { status, detail } = await health()
  const isWell = status === 'ready'
  note.hidden = isWell
  note.querySelector('p').replaceChildren(...withCommand(isWell ? '' : detail))
  document.getElementById('index-size').textContent = isWell ? detail : ''
  if (status !== 'down') await offer()
}

async function health() {
  try {
    const response = await fetch('/health', { cache: 'no-store' }) // it has a body with status 503, too
    return (await response.json()).components.index
  } catch {
    return { status: 'down', detail: 'The server cannot be reached.' }
  }
}

/** A choice of what to ask, where the book has more than one. */
async function offer() {
  const { versions, locales } = await (await fetch('/config', { cache: 'no-store' })).json()
  choose('version', versions, (version) => version)
  choose('locale', locales, language)
}

/** In the reader's own language; a site may also call its locales by what is no name of one. */
function language(locale) {
  try {
    return new Intl.DisplayNames(navigator.languages, { type: 'language' }).of(locale)
  } catch {
    return locale
  }
}

function choose(name, values, called) {
  const select = document.querySelector(`select[name=${name}]`)
  select.parentElement.hidden = values.length < 2
  select.replaceChildren(select.options[0], ...values.map((value) => new Option(called(value), value)))
  select.value = chat.getAttribute(name) ?? ''
}

/** The command that mends things, set as code. */
function withCommand(sentence) {
  return sentence.split(COMMAND).map((part, at) => {
    if (at % 2 === 0) return part
    return Object.assign(document.createElement('code'), { textContent: part })
  })
}
