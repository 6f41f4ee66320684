// How the panel looks. Built as a file of its own.

export { followTheme } from './theme.js'
export { default as css } from './view/panel.css'
