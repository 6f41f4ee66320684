/** The plugin's options, and how they are checked. */

import Joi from 'joi';

export interface Options {
  /** The instance of the plugin; Docusaurus asks for one. */
  id: string;
  /** The commit to name in the manifest, instead of the one we find. */
  revision?: string;
  /** Whether `docusaurus build` writes the manifest. */
  manifest: boolean;
}

const NAME = 'docusaurus-plugin-askbook';

const schema = Joi.object<Options>({
  id: Joi.string().default('default'),
  revision: Joi.string(),
  manifest: Joi.boolean().default(true),
}).messages({
  'object.unknown': 'there is no option {{#label}}; the options are "manifest" and "revision"',
  'string.base': '{{#label}} must be a string',
  'string.empty': '{{#label}} is empty: leave it away to let the commit be found',
  'boolean.base': '{{#label}} must be true or false',
});

/**
 * Checks with our own schema alone. The `validate` that Docusaurus offers adds a schema made by its copy of Joi, and
 * Joi refuses to mix copies of different versions.
 */
export function validateOptions({options}: {options: unknown}): Options {
  const {error, value} = schema.validate(options ?? {}, {convert: false});
  if (error) {
    throw new Error(`${NAME}: ${error.message}.`);
  }
  return value;
}
