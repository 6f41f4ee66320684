import assert from 'node:assert/strict';
import {test} from 'node:test';

import {validateOptions, type PluginOptions} from '../src/options';

test('no option has to be given', () => {
  const defaults = {id: 'default', manifest: true, widget: true, theme: 'auto'};

  assert.deepEqual(validateOptions({options: undefined}), defaults);
  assert.equal(refusal({apiUrl: undefined, revision: undefined}), undefined);
});

test('what is given is kept', () => {
  const options: PluginOptions = {
    id: 'other',
    revision: 'cafe42',
    manifest: false,
    apiUrl: 'https://ask.book.example/',
    widget: false,
    title: {en: 'Ask', de: 'Fragen'},
    suggestions: ['How do I install it?'],
    shortcut: false,
    theme: 'dark',
  };

  assert.deepEqual(validateOptions({options}), options);
});

test('an unknown option is refused by name', () => {
  assert.throws(
    () => validateOptions({options: {revison: 'cafe42'}}),
    /^Error: docusaurus-plugin-askbook: there is no option "revison"; the options are "manifest", .* and "theme"\.$/,
  );
});

test('a value of the wrong kind is refused in plain words', () => {
  const locales = 'a list of questions, or an object with a list of questions for each locale';

  assert.equal(refusal({manifest: 'yes'}), '"manifest" must be true or false.');
  assert.equal(refusal({revision: 7}), '"revision" must be a string.');
  assert.equal(refusal({revision: ''}), '"revision" is empty: leave it away to let the commit be found.');
  assert.equal(refusal({apiUrl: ''}), '"apiUrl" is empty: leave it away for pages without the widget.');
  assert.equal(refusal({title: 7}), '"title" must be a string, or an object with a string for each locale.');
  assert.equal(refusal({title: {de: ''}}), '"title.de" is empty.');
  assert.equal(refusal({suggestions: 'How?'}), `"suggestions" must be ${locales}.`);
  assert.equal(refusal({suggestions: {de: 'Wie?'}}), '"suggestions.de" must be a list of questions.');
  assert.equal(refusal({suggestions: {de: [7]}}), '"suggestions.de[0]" must be a string.');
  assert.equal(refusal({theme: 'sepia'}), '"theme" must be "auto", "light" or "dark".');
});

test('Askbook answers at an address or a path, and nowhere else', () => {
  for (const apiUrl of ['https://ask.book.example', 'http://127.0.0.1:8000/', 'https://book.example/ask', '/ask', '/']) {
    assert.equal(refusal({apiUrl}), undefined, apiUrl);
  }
  for (const apiUrl of [
    'ask',
    'ask.book.example',
    '//ask.book.example',
    '/\\ask.book.example',
    'ftp://ask.book.example',
    'https://user:secret@ask.book.example',
    'https://ask.book.example/?key=1',
    '/ask#top',
    'https://',
  ]) {
    assert.match(refusal({apiUrl}) ?? '', /^"apiUrl" must be an address such as .*, or a path such as "\/ask"/, apiUrl);
  }
});

test('a shortcut is nothing that is pressed while writing', () => {
  for (const shortcut of ['mod+i', 'mod+alt+shift+k', 'alt+/', 'f2', false]) {
    assert.equal(refusal({shortcut}), undefined, String(shortcut));
  }
  for (const shortcut of ['i', 'shift+i', 'Mod+I', 'shift+mod+i', 'ctrl+i', '', 7, true]) {
    assert.match(refusal({shortcut}) ?? '', /^"shortcut" must be keys such as "mod\+i"/, String(shortcut));
  }
});

function refusal(options: unknown): string | undefined {
  try {
    validateOptions({options});
  } catch (error) {
    return (error as Error).message.replace('docusaurus-plugin-askbook: ', '');
  }
  return undefined;
}
