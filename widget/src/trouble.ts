// What went wrong, as plain data: the reducer keeps it, the view finds the words.

import type { ProblemBody } from './wire.js'

export interface Trouble {
  /** Of the server, or `unreachable`, `cut_off`, `not_an_answer`: what only the browser can know. */
  code: string
  status: number
  /** The server's own sentence for readers, if it sent one. */
  detail: string
  /** Seconds after which the server may be asked again. */
  retryAfter: number | null
}

export class Problem extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble.code)
  }
}

export function problem(code: string, rest: Partial<Trouble> = {}): Problem {
  return new Problem({ code, status: 0, detail: '', retryAfter: null, ...rest })
}

export async function problemOf(response: Response): Promise<Problem> {
  let body: ProblemBody = {}
  try {
    body = (await response.json()) as ProblemBody
  } catch {
    // A proxy's page, for instance: the status has to do.
  }
  const wait = Number.parseInt(response.headers.get('Retry-After') ?? '', 10)
  return problemIn(body, response.status, Number.isNaN(wait) ? null : Math.min(wait, 3600))
}

export function problemIn(body: ProblemBody, status = body.status ?? 0, retryAfter: number | null = null): Problem {
  return problem(body.code ?? `http_${status}`, { status, detail: sentenceOf(body), retryAfter })
}

function sentenceOf({ detail }: ProblemBody): string {
  if (typeof detail === 'string') return detail
  if (!Array.isArray(detail)) return ''
  return detail.map(({ msg }) => `${msg.replace(/^Value error, /, '')}.`).join(' ')
}
