// The page out of the index: labels look like labels, wide tables scroll, the cited passage is in view.

// The label of a tab or admonition is a paragraph of one bold stretch; the book's other text has none.
for (const bold of document.querySelectorAll('.prose p > strong')) {
  if (bold.parentNode.childNodes.length === 1) bold.parentNode.className = 'label'
}
for (const table of document.querySelectorAll('.prose table')) {
  const wide = Object.assign(document.createElement('div'), { className: 'wide' })
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
