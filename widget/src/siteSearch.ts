// The site's own search, for when the book cannot be asked.

const BUTTON = '.DocSearch-Button, [class*="DocSearch-Button"]'
const FIELD = '.navbar__search-input, .navbar input[type="search"], header input[type="search"], input[type="search"]'

export function canSearchSite(): boolean {
  return document.querySelector(`${BUTTON}, ${FIELD}`) !== null
}

export function searchSite(question: string): void {
  const button = document.querySelector<HTMLElement>(BUTTON)
  if (button) return button.click()
  const field = document.querySelector<HTMLInputElement>(FIELD)
  if (!field) return
  field.focus()
  field.value = question
  field.dispatchEvent(new Event('input', { bubbles: true }))
}
