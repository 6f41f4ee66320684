// The page at `/`: the widget, in the reader's language, and what is wrong with the index.

const chat = document.querySelector('askbook-chat')
const note = document.getElementById('index-note')
const COMMAND = /(\baskbook [a-z]+(?: [A-Z]+| --[a-z]+)*)/

chat.lang = navigator.language
note.querySelector('button').addEventListener('click', async () => {
  await look()
  if (note.hidden) chat.open()
})
customElements.whenDefined('askbook-chat').then(() => chat.open()) // who comes here comes to ask
look()

async function look() {
  const sentence = await trouble()
  note.hidden = !sentence
  note.querySelector('p').replaceChildren(...withCommand(sentence))
}

/** Empty for an index that is well. */
async function trouble() {
  try {
    const response = await fetch('/health', { cache: 'no-store' }) // it has a body with status 503, too
    const { status, detail } = (await response.json()).components.index
    return status === 'ready' ? '' : detail
  } catch {
    return 'The server cannot be reached.'
  }
}

/** The command that mends things, set as code. */
function withCommand(sentence) {
  return sentence.split(COMMAND).map((part, at) => {
    if (at % 2 === 0) return part
    return Object.assign(document.createElement('code'), { textContent: part })
  })
}
