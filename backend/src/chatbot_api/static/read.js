// The page out of the index: labels as labels, wide tables scroll, and the cited passage in view.

import { el } from './dom.js'

for (const paragraph of document.querySelectorAll('.prose p')) {
  const first = paragraph.firstChild
  if (first?.nodeName === 'STRONG' && first === paragraph.lastChild) paragraph.className = 'label'
  const label = first?.nodeType === Node.TEXT_NODE && /^\[([^\n]+)\](?:\n|$)/.exec(first.data)
  if (!label) continue
  paragraph.before(el('p', { class: 'label' }, label[1]))
  first.data = first.data.slice(label[0].length)
  if (!paragraph.textContent) paragraph.remove()
}
for (const table of document.querySelectorAll('.prose table')) {
  const wide = el('div', { class: 'wide' })
  table.replaceWith(wide)
  wide.append(table)
}

const cited = document.querySelector('.cited')
if (!cited && new URLSearchParams(location.search).has('passage')) document.getElementById('gone').hidden = false

/** The browser itself goes to the quoted words. Where it cannot, or did not find them, we go to their passage. */
function bringIntoView() {
  const { top, bottom } = cited.getBoundingClientRect()
  if (bottom < 80 || top > innerHeight - 80) cited.scrollIntoView({ block: 'start' })
}
if (cited) {
  if (document.readyState === 'complete') requestAnimationFrame(bringIntoView)
  else addEventListener('load', () => requestAnimationFrame(bringIntoView))
}
