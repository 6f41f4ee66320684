/** The plugin's options, and how they are checked. */

import Joi from 'joi';

/** The same for every locale, or one for each. A locale without one has none. */
export type PerLocale<Value> = Value | {[locale: string]: Value};

/** What a site writes. */
export interface Options {
  /** The instance of the plugin, if there are several. */
  id?: string | undefined;
  /** The commit to name in the manifest, instead of the one we find. */
  revision?: string | undefined;
  /** Whether `docusaurus build` writes the manifest. On by default. */
  manifest?: boolean | undefined;
  /** Where Askbook answers: an address, or a path on the site's own origin. Without it, pages get no widget. */
  apiUrl?: string | undefined;
  /** Whether pages get the widget, if there is an `apiUrl`. On by default. */
  widget?: boolean | undefined;
  /** What the button and the panel are called, instead of "Ask the book" in the reader's language. */
  title?: PerLocale<string> | undefined;
  /** Questions to begin with. */
  suggestions?: PerLocale<string[]> | undefined;
  /** Keys that open and close the panel, such as `mod+i`, where `mod` is Ctrl or Cmd; `false` for none. */
  shortcut?: string | false | undefined;
  /** Light, dark, or as the site is. */
  theme?: 'auto' | 'light' | 'dark' | undefined;
}

/** The same, checked, with what was left away. */
export type PluginOptions = Options & {id: string; manifest: boolean; widget: boolean; theme: 'auto' | 'light' | 'dark'};

export const NAME = 'docusaurus-plugin-askbook';

const OWN = ['manifest', 'revision', 'apiUrl', 'widget', 'title', 'suggestions', 'shortcut', 'theme'];

const schema = Joi.object<PluginOptions>({
  id: Joi.string().default('default'),
  revision: Joi.string().messages({
    'string.empty': '{{#label}} is empty: leave it away to let the commit be found',
  }),
  manifest: Joi.boolean().default(true),
  apiUrl: Joi.string().custom(whereAskbookAnswers).messages({
    'string.empty': '{{#label}} is empty: leave it away for pages without the widget',
    'any.custom':
      '{{#label}} must be an address such as "https://ask.book.example", or a path such as "/ask", without "?" and "#"',
  }),
  widget: Joi.boolean().default(true),
  title: perLocale(Joi.string(), 'a string'),
  suggestions: perLocale(Joi.array().items(Joi.string()), 'a list of questions'),
  shortcut: Joi.alternatives(
    Joi.valid(false),
    // As the widget puts together what is pressed. Without Ctrl, Cmd or Alt it would be pressed by writing.
    Joi.string().pattern(/^((mod\+(alt\+)?|alt\+)(shift\+)?[^\s+A-Z]+|f[1-9][0-2]?)$/),
  ).messages(oneMessage(['string.pattern.base', 'string.empty', 'alternatives.types'],
    '{{#label}} must be keys such as "mod+i" or "mod+alt+shift+k", in this order and in small letters, or false')),
  theme: Joi.valid('auto', 'light', 'dark').default('auto').messages({
    'any.only': '{{#label}} must be "auto", "light" or "dark"',
  }),
}).messages({
  'object.unknown': `there is no option {{#label}}; the options are ${listed(OWN)}`,
  'string.base': '{{#label}} must be a string',
  'boolean.base': '{{#label}} must be true or false',
});

/**
 * Checks with our own schema alone. The `validate` that Docusaurus offers adds a schema made by its copy of Joi, and
 * Joi refuses to mix copies of different versions.
 */
export function validateOptions({options}: {options: unknown}): PluginOptions {
  const {error, value} = schema.validate(options ?? {}, {convert: false});
  if (error) {
    throw new Error(`${NAME}: ${error.message}.`);
  }
  return value;
}

export function isPath(apiUrl: string): boolean {
  return apiUrl.startsWith('/');
}

export function listed(names: readonly string[]): string {
  const quoted = names.map((name) => `"${name}"`);
  return [quoted.slice(0, -1).join(', '), quoted.at(-1)].filter(Boolean).join(' and ');
}

function whereAskbookAnswers(apiUrl: string): string {
  const {protocol, username, password, origin} = new URL(apiUrl, 'https://own.invalid');
  const isOwn = origin === 'https://own.invalid';
  if (!/^https?:$/.test(protocol) || username || password || /[\s?#\\]/.test(apiUrl) || isOwn !== isPath(apiUrl)) {
    throw new Error('neither an address nor a path');
  }
  return apiUrl;
}

function perLocale(value: Joi.Schema, kind: string): Joi.Schema {
  const each = value.messages({[`${value.type}.base`]: `{{#label}} must be ${kind}`});
  return Joi.alternatives(each, Joi.object().pattern(Joi.string(), each)).messages({
    'alternatives.types': `{{#label}} must be ${kind}, or an object with ${kind} for each locale`,
    'string.empty': '{{#label}} is empty',
  });
}

function oneMessage(codes: string[], message: string): Joi.LanguageMessages {
  return Object.fromEntries(codes.map((code) => [code, message]));
}
