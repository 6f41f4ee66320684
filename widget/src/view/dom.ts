// Nodes without markup: text stays text.

type Child = Node | string | null | false

type Attributes = Record<string, string | number | boolean | null | undefined>

/** An element. `attributes` are ours; false, null and undefined leave one out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name)
  setAll(element, attributes)
  element.append(...children.filter((child) => child !== null && child !== false))
  return element
}

export function setAll(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) element.removeAttribute(name)
    else element.setAttribute(name, value === true ? '' : String(value))
  }
}

const SVG = 'http://www.w3.org/2000/svg'

/** A line drawing of 24 by 24. */
export function icon(path: string): SVGElement {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', '0 0 24 24')
  svg.setAttribute('class', 'icon')
  svg.ariaHidden = 'true'
  const line = document.createElementNS(SVG, 'path')
  line.setAttribute('d', path)
  svg.append(line)
  return svg
}

/** Makes `old` equal to `fresh`, touching only what differs: a selection in the rest of it stays. */
export function morph(old: ChildNode, fresh: ChildNode): ChildNode {
  if (old.isEqualNode(fresh)) return old
  if (!sameShell(old, fresh)) {
    old.replaceWith(fresh)
    return fresh
  }
  if (old instanceof Text && fresh instanceof Text) {
    if (fresh.data.startsWith(old.data)) old.appendData(fresh.data.slice(old.length))
    else old.data = fresh.data
    return old
  }
  const wanted = [...fresh.childNodes]
  while (old.childNodes.length > wanted.length) old.lastChild!.remove()
  wanted.forEach((child, at) => {
    const has = old.childNodes[at]
    if (has) morph(has, child)
    else old.appendChild(child)
  })
  return old
}

function sameShell(a: Node, b: Node): boolean {
  return a.nodeName === b.nodeName && (a.nodeType === Node.TEXT_NODE || a.cloneNode().isEqualNode(b.cloneNode()))
}

/** By a constructed sheet, which no content security policy is in the way of; else by an element with a nonce. */
export function addStyles(root: Element, css: string, nonce?: string): void {
  const shadow = root.getRootNode() as ShadowRoot
  try {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(css)
    shadow.adoptedStyleSheets.push(sheet)
  } catch {
    shadow.append(Object.assign(document.createElement('style'), { nonce, textContent: css }))
  }
}
