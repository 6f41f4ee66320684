// The panel's words. Each language is a file of its own, loaded when it is spoken.

export interface Strings {
  // The panel
  welcome: string
  promise: string
  suggestions: string
  question: string
  placeholder: string
  followUp: string
  send: string
  stop: string
  close: string
  anew: string
  tooLong: string
  // What is asked, and of what
  where: string
  thisPage: string
  wholeBook: string
  onThisPage: string
  selection: string
  removeSelection: string
  // While an answer comes
  searching: string
  reading: string
  writing: string
  incomplete: string
  stopped: string
  nothing: string
  // What an answer is
  byModel: string
  uncited: string
  quoted: string
  modelDown: string
  modelBusy: string
  modelOff: string
  modelRefused: string
  pagesOnly: string
  partial: string
  wordsAlone: string
  noVectorsYet: string
  notBorneOut: string
  atItsLongest: string
  begunAnew: string
  notRemembered: string
  notInBook: string
  notInBookMore: string
  nearest: string
  // What it stands on
  sources: string
  source: string
  openPassage: string
  marked: string
  notMarked: string
  unsupported: string
  fromBook: string
  adapted: string
  // What a reader can do with it
  copyAnswer: string
  copy: string
  copied: string
  notCopied: string
  again: string
  helpful: string
  notHelpful: string
  comment: string
  sendComment: string
  thanks: string
  // What goes wrong
  offline: string
  unreachable: string
  cutOff: string
  unavailable: string
  tooMany: string
  busy: string
  refused: string
  pageUnknown: string
  failed: string
  retry: string
  retryIn: string
  reword: string
  askBook: string
  siteSearch: string
  // Past conversations
  past: string
  back: string
  noPast: string
  loading: string
  pastFailed: string
  more: string
  remove: string
  removeOf: string
  removeAll: string
  removeAllSure: string
  keep: string
  removed: string
}

export type Language = 'en' | 'de' | 'fr' | 'es' | 'pt' | 'zh' | 'ja' | 'ar'

const FILES: Record<Language, () => Promise<{ strings: Strings }>> = {
  en: () => import('./en.js'),
  de: () => import('./de.js'),
  fr: () => import('./fr.js'),
  es: () => import('./es.js'),
  pt: () => import('./pt.js'),
  zh: () => import('./zh.js'),
  ja: () => import('./ja.js'),
  ar: () => import('./ar.js'),
}

/** The language to speak for a tag such as `pt-BR`; English for those we do not speak. */
export function languageOf(tag: string): Language {
  const [language = ''] = tag.toLowerCase().split('-')
  return Object.hasOwn(FILES, language) ? (language as Language) : 'en'
}

export async function wordsIn(language: Language): Promise<Strings> {
  return (await FILES[language]()).strings
}
