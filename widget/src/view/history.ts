// The list of past conversations.

import type { History } from '../state.js'
import type { Strings } from '../strings/strings.js'
import { fill } from '../text.js'
import type { ThreadHead } from '../wire.js'
import { el, icon } from './dom.js'
import { BIN } from './icons.js'

export function historyList(
  { threads, more, state }: History,
  current: string,
  say: Strings,
  language: string,
): HTMLElement {
  const date = new Intl.DateTimeFormat(language, { dateStyle: 'medium' })
  const row = ({ id, title, updated_at: updated }: ThreadHead) => {
    const when = new Date(updated)
    return el(
      'li',
      { 'data-thread': id },
      el(
        'button',
        { type: 'button', class: 'thread', 'data-do': 'openThread', 'aria-current': id === current && 'true' },
        el('span', { class: 'thread-title', dir: 'auto' }, title),
        !Number.isNaN(when.getTime()) && el('time', { datetime: updated }, date.format(when)),
      ),
      el(
        'button',
        {
          type: 'button',
          class: 'icon-button',
          'data-do': 'confirm',
          'aria-label': fill(say.removeOf, { title }),
          title: say.remove,
        },
        icon(BIN),
      ),
      confirmation(say.remove, say.keep, 'deleteThread'),
    )
  }
  return el(
    'section',
    { class: 'history', 'aria-label': say.past },
    el('h3', {}, say.past),
    threads.length > 0 && el('ul', {}, ...threads.map(row)),
    state === 'loading' && el('p', { class: 'status working' }, say.loading),
    state === 'ready' && !threads.length && el('p', { class: 'status' }, say.noPast),
    state === 'failed' &&
      el(
        'div',
        { class: 'note trouble' },
        el('p', {}, say.pastFailed),
        el(
          'p',
          { class: 'ways' },
          el('button', { type: 'button', class: 'quiet-button', 'data-do': 'history' }, say.retry),
        ),
      ),
    state === 'ready' &&
      more &&
      el('button', { type: 'button', class: 'quiet-button', 'data-do': 'moreThreads' }, say.more),
    state === 'ready' &&
      threads.length > 1 &&
      el(
        'div',
        { class: 'all', 'data-thread': '' },
        el('button', { type: 'button', class: 'text-button', 'data-do': 'confirm' }, say.removeAll),
        confirmation(say.remove, say.keep, 'deleteThreads', say.removeAllSure),
      ),
  )
}

function confirmation(yes: string, no: string, does: string, question = ''): HTMLElement {
  return el(
    'span',
    { class: 'sure' },
    question && el('span', {}, question),
    el('button', { type: 'button', class: 'text-button danger', 'data-do': does }, yes),
    el('button', { type: 'button', class: 'text-button', 'data-do': 'unconfirm' }, no),
  )
}
