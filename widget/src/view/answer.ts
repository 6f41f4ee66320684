// What comes under an answer that is complete: what it stands on, and what a reader can do with it.

import { markGrounding } from '../grounding.js'
import type { Here } from '../links.js'
import type { Block } from '../prose.js'
import type { Strings } from '../strings/strings.js'
import { unhurried } from '../unhurried.js'
import type { Answer, Feedback } from '../wire.js'
import { el, icon, setAll } from './dom.js'
import { AGAIN, COPY, GOOD } from './icons.js'
import { nearestList, sourceList } from './sources.js'

export interface AnswerView {
  answer: Answer
  feedback: Feedback | null
  prose: HTMLElement
  blocks: readonly Block[]
  after: HTMLElement
  here: Here
  say: Strings
}

export function showAnswer({ answer, feedback, prose, blocks, after, here, say }: AnswerView): void {
  const { citations, grounding, mode, nearest, response, state } = answer
  const found = state !== 'not_in_docs'
  prose.classList.toggle('quoted', found && mode === 'extractive')
  if (found) {
    const labels = { unsupported: say.unsupported, verbatim: say.fromBook, adapted: say.adapted }
    void unhurried(markGrounding(response, blocks, grounding, labels))
  }
  after.replaceChildren(
    ...[
      found && citations.length > 0 && sourceList(citations, here, say.sources),
      nearest.length > 0 && nearestList(nearest, here, say.nearest),
      actions(found, say),
    ].filter((part) => part instanceof Node),
  )
  showFeedback(after, null, feedback, say)
}

/** Presses the thumb, and asks for a word where one has just been given. */
export function showFeedback(
  after: HTMLElement,
  before: Feedback | null,
  feedback: Feedback | null,
  say: Strings,
): void {
  for (const button of after.querySelectorAll<HTMLElement>('[data-kind]')) {
    setAll(button, { 'aria-pressed': String(button.dataset.kind === feedback?.kind) })
  }
  const form = after.querySelector('.comment')
  if (!feedback) return form?.remove()
  if (feedback.comment) form?.replaceChildren(el('p', { class: 'thanks', role: 'status' }, say.thanks))
  else if (before?.kind !== feedback.kind && before !== feedback && after.dataset.rated) {
    form?.remove()
    after.append(commentForm(say))
  }
}

function actions(hasText: boolean, say: Strings): HTMLElement {
  const button = (does: string, label: string, path: string, rest = {}) =>
    el(
      'button',
      { type: 'button', class: 'icon-button', 'data-do': does, 'aria-label': label, title: label, ...rest },
      icon(path),
    )
  const rate = (kind: string, label: string) =>
    button('rate', label, GOOD, { 'data-kind': kind, 'aria-pressed': 'false' })
  return el(
    'div',
    { class: 'actions' },
    hasText && button('copyAnswer', say.copyAnswer, COPY),
    button('retry', say.again, AGAIN),
    rate('positive', say.helpful),
    rate('negative', say.notHelpful),
  )
}

function commentForm(say: Strings): HTMLElement {
  return el(
    'form',
    { class: 'comment', 'data-do': 'comment' },
    el('input', {
      name: 'comment',
      maxlength: 1000,
      placeholder: say.comment,
      'aria-label': say.comment,
      autocomplete: 'off',
      dir: 'auto',
    }),
    el('button', { class: 'text-button' }, say.sendComment),
  )
}
