// What "copy" puts on the clipboard.

import { destinationOf, type Here } from './links.js'
import type { Answer } from './wire.js'

/** The answer as Markdown: its markers become links by definitions at the end, so that no word of it is touched. */
export function asMarkdown({ response, citations }: Answer, here: Here): string {
  const definitions = citations.flatMap(({ number, heading_path: path, title, url, passage_id: id }) => {
    const destination = destinationOf(url, id, here)
    const name = (path.length ? path.join(' \u203a ') : title).replace(/["\\]/g, '\\$&')
    return destination ? [`[${number}]: <${destination.href.replace(/>/g, '%3E')}> "${name}"`] : []
  })
  return [response.trim(), definitions.join('\n')].filter(Boolean).join('\n\n') + '\n'
}

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyByHand(text) // there is no clipboard without https
  }
}

function copyByHand(text: string): boolean {
  const area = document.createElement('textarea')
  area.value = text
  area.readOnly = true
  area.style.position = 'fixed'
  area.style.opacity = '0'
  document.body.append(area)
  area.select()
  try {
    return document.execCommand('copy')
  } catch {
    return false
  } finally {
    area.remove()
  }
}
