// Addresses the server sent: which may be followed, and where they lead from this page.

export interface Here {
  /** Address of the page the reader is on. */
  href: string
  /** Its canonical address: a preview or a local copy of the book names the real one here. */
  canonical: string
  /** Where paths lead when the book itself is not served here: `/read` on the API's own page. */
  reader: string
}

export interface Destination {
  /** What the link says, with its text fragment: right for a new tab. */
  href: string
  /** On this site: path, query and hash, for a router. Empty for any other site. */
  path: string
  hash: string
}

/** Null where the address is not one to follow. */
export function destinationOf(url: string, passageId: string, here: Here): Destination | null {
  const rooted = here.reader && url.startsWith('/') && !url.startsWith('//')
  const target = parse(rooted ? inReader(url, passageId, here.reader) : url, here.href)
  if (!target) return null
  const current = new URL(here.href)
  const canonical = parse(here.canonical, here.href)
  if (target.origin !== current.origin && target.origin === canonical?.origin) {
    target.protocol = current.protocol
    target.host = current.host
  }
  const hash = target.hash.split(':~:')[0]!
  const onSite = target.origin === current.origin && !rooted
  return {
    href: target.href,
    path: onSite ? target.pathname + target.search + (hash === '#' ? '' : hash) : '',
    hash: hash === '#' ? '' : hash,
  }
}

/** Whether two addresses are of the same place; text fragments do not matter. */
export function samePlace(a: string, b: string, base: string): boolean {
  const [one, other] = [parse(a, base), parse(b, base)]
  const place = (url: URL) => url.href.split(':~:')[0]!.replace(/#$/, '')
  return Boolean(one && other && place(one) === place(other))
}

export function samePage(a: string, b: string): boolean {
  const page = (path: string) => path.split(/[?#]/)[0]!.replace(/(?:\/index)?(?:\.html)?\/?$/, '')
  return page(a) === page(b)
}

function parse(url: string, base: string): URL | null {
  try {
    const parsed = new URL(url, base)
    return /^https?:$/.test(parsed.protocol) && !parsed.username && !parsed.password ? parsed : null
  } catch {
    return null
  }
}

function inReader(url: string, passageId: string, reader: string): string {
  const [path = '', ...hash] = url.split('#')
  const passage = passageId && `?passage=${encodeURIComponent(passageId)}`
  return reader + path + passage + (hash.length ? `#${hash.join('#')}` : '')
}
