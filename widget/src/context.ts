// What the page says of itself: where the reader is, in which version and locale of the book.

import type { Config, Scope } from './wire.js'

/** Docusaurus writes these into every page of the docs; any other site may. */
export interface PageSays {
  versions: string[]
  tag: string
  locale: string
}

export function pageSays(document: Document): PageSays {
  const meta = (...names: string[]) => {
    const found = names.map((name) => document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content)
    return found.find(Boolean) ?? ''
  }
  return {
    versions: meta('docsearch:version', 'docusaurus_version')
      .split(',')
      .map((name) => name.trim()),
    tag: meta('docusaurus_tag', 'docsearch:docusaurus_tag'),
    locale: meta('docusaurus_locale', 'docsearch:language') || document.documentElement.lang,
  }
}

/** What the element was told to ask. As it was told: what the index does not know is refused, and the reader hears it. */
export function chosenBy(host: Element): Pick<Scope, 'version' | 'locale'> {
  const version = host.getAttribute('version')
  const locale = host.getAttribute('locale')
  return { ...(version ? { version } : {}), ...(locale ? { locale } : {}) }
}

/** Only what the index knows: a guess it does not know would be refused. */
export function scopeOf({ versions, tag, locale }: PageSays, config: Config | null): Pick<Scope, 'version' | 'locale'> {
  if (!config) return {}
  // The tag is `docs-<plugin id>-<version>`, and ids may hold hyphens.
  const version = config.versions.find((known) => versions.includes(known) || tag.endsWith(`-${known}`))
  const wanted = locale.toLowerCase()
  const language = wanted.split('-')[0]
  const spoken =
    config.locales.find((known) => known.toLowerCase() === wanted) ??
    config.locales.find((known) => known.toLowerCase().split('-')[0] === language)
  return { ...(version ? { version } : {}), ...(spoken ? { locale: spoken } : {}) }
}
