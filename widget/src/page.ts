// What happens on the page itself, outside of the panel. Built as a file of its own, loaded when it is needed.

export { showKeptMark, showMark, type Mark } from './highlight.js'
export { selectedText, watchSelection } from './selection.js'
