// Light or dark: as our own attribute says, else as Docusaurus does, else as the system is set.

export function followTheme(
  host: HTMLElement,
  root: HTMLElement,
  changed: () => void,
  signal: AbortSignal,
): () => void {
  const page = document.documentElement
  const dark = matchMedia('(prefers-color-scheme: dark)')
  const dress = () => {
    const site = page.dataset.theme
    const named = [host.getAttribute('theme'), site].find((name) => name === 'dark' || name === 'light')
    const theme = named ?? (dark.matches ? 'dark' : 'light')
    root.dataset.theme = theme
    // The site's colours are those of its theme: of no use in the other one.
    root.dataset.colors = site && site !== theme ? 'own' : 'site'
  }
  const observer = new MutationObserver((records) => {
    dress()
    if (records.some(({ attributeName }) => attributeName === 'lang')) changed()
  })
  observer.observe(page, { attributeFilter: ['data-theme', 'lang'] })
  dark.addEventListener('change', dress, { signal })
  signal.addEventListener('abort', () => observer.disconnect())
  dress()
  return dress
}
