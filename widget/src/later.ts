// What nobody needs before there is an answer, or a look back. Built as a file of its own.

export { asMarkdown, copyText } from './copying.js'
export { turnsIn } from './past.js'
export { canSearchSite, searchSite } from './siteSearch.js'
export { popoverIn } from './view/popover.js'
export { showAnswer, showFeedback } from './view/answer.js'
export { historyList } from './view/history.js'
