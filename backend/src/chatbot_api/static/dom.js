// Nodes without markup: text stays text.

/** An element. `attributes` are names and values of ours; children are nodes or strings. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value != null) element.setAttribute(key, value === true ? '' : value)
  }
  element.append(...children)
  return element
}

/** Makes the children of `old` equal to those of `fresh`, touching only what differs: a selection elsewhere stays. */
export function morph(old, fresh) {
  const wanted = [...fresh.childNodes]
  while (old.childNodes.length > wanted.length) old.lastChild.remove()
  wanted.forEach((node, at) => {
    const has = old.childNodes[at]
    if (!has) old.append(node)
    else if (!has.isEqualNode(node)) {
      if (!sameShell(has, node)) has.replaceWith(node)
      else if (node.nodeType !== Node.TEXT_NODE) morph(has, node)
      else if (node.data.startsWith(has.data)) has.appendData(node.data.slice(has.length))
      else has.data = node.data
    }
  })
}

function sameShell(a, b) {
  return a.nodeName === b.nodeName && (a.nodeType === Node.TEXT_NODE || a.cloneNode().isEqualNode(b.cloneNode()))
}

/** Copies text, and tells on the button how that went. */
export async function copy(text, button, label) {
  let done = true
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    done = copyByHand(text) // no clipboard without https
  }
  button.focus({ preventScroll: true })
  button.textContent = done ? 'Copied' : 'Not copied'
  announce(button.textContent)
  setTimeout(() => { button.textContent = label }, 2000)
}

function copyByHand(text) {
  const area = el('textarea', { class: 'unseen', 'aria-hidden': 'true' })
  area.value = text
  document.body.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  return done
}

/** Says something to those who listen rather than look. */
export function announce(text) {
  document.getElementById('announcer').textContent = text
}
