import assert from 'node:assert/strict';
import {test} from 'node:test';

import type {LoadContext} from '@docusaurus/types';

import {validateOptions, type Options} from '../src/options';
import {isRefused, widgetIn, widgetOf, type Locales} from '../src/widget';

const ENGLISH: Locales = {current: 'en', all: ['en', 'de'], htmlLang: 'en-GB'};
const GERMAN: Locales = {current: 'de', all: ['en', 'de'], htmlLang: 'de'};

test('the element gets what was set, and the language of the pages', () => {
  const widget = of({
    apiUrl: 'https://ask.book.example/',
    title: 'Ask us',
    suggestions: ['How?', 'Why "so"?'],
    shortcut: 'mod+k',
    theme: 'dark',
  });

  assert.deepEqual(widget, {
    script: 'https://ask.book.example/askbook.js',
    attributes: {
      api: 'https://ask.book.example',
      lang: 'en-GB',
      title: 'Ask us',
      suggestions: '["How?","Why \\"so\\"?"]',
      shortcut: 'mod+k',
      theme: 'dark',
    },
  });
});

test('what was not set is left to the element', () => {
  assert.deepEqual(of({apiUrl: '/ask'}), {
    script: '/ask/askbook.js',
    attributes: {api: '/ask', lang: 'en-GB'},
  });
});

test('Askbook may answer at the root, and a shortcut can be none', () => {
  assert.deepEqual(of({apiUrl: '/', shortcut: false}), {
    script: '/askbook.js',
    attributes: {api: '/', lang: 'en-GB', shortcut: ''},
  });
});

test('without an address, or when it is told not to, a site has no widget', () => {
  assert.equal(of({}), undefined);
  assert.equal(of({suggestions: ['How?']}), undefined);
  assert.equal(of({apiUrl: '/ask', widget: false}), undefined);
});

test('each locale has its own words, or none', () => {
  const options = {apiUrl: '/ask', title: {en: 'Ask us'}, suggestions: {en: ['How?'], de: ['Wie?']}};

  assert.deepEqual(of(options)?.attributes, {api: '/ask', lang: 'en-GB', title: 'Ask us', suggestions: '["How?"]'});
  assert.deepEqual(of(options, GERMAN)?.attributes, {api: '/ask', lang: 'de', suggestions: '["Wie?"]'});
});

test('words for a locale that the site does not have are refused, also where there is no widget', () => {
  assert.throws(() => of({suggestions: {dd: ['Wie?']}}), {
    message: 'docusaurus-plugin-askbook: "suggestions" names the locale "dd"; the site\'s locales are "en" and "de".',
  });
  assert.throws(() => of({title: {de: 'Fragen'}}, {...ENGLISH, all: ['en']}), {
    message: 'docusaurus-plugin-askbook: "title" names the locale "de"; the site\'s only locale is "en".',
  });
});

test('what browsers would not load on the published site is known', () => {
  const isRefusedAt = (site: string) => (script: string) => isRefused(script, site);
  const fine = ['https://ask.book.example/askbook.js', 'http://127.0.0.1:8000/askbook.js', 'http://localhost/askbook.js', '/askbook.js'];

  assert.equal(isRefused('http://ask.book.example/askbook.js', 'https://book.example'), true);
  assert.equal(isRefused('http://ask.book.example/askbook.js', 'http://book.example'), false);
  assert.deepEqual(fine.filter(isRefusedAt('https://book.example')), []);
});

test('Docusaurus gets a module for the browser, and the data that it reads', async () => {
  const plugin = widgetIn(context(), validateOptions({options: {apiUrl: '/ask'}}));
  let told: unknown;
  const actions = {setGlobalData: (data: unknown) => (told = data)};
  await plugin.contentLoaded?.({actions} as Parameters<NonNullable<typeof plugin.contentLoaded>>[0]);

  assert.match(plugin.getClientModules?.()[0] ?? '', /client[\\/]index\.js$/);
  assert.deepEqual(told, {script: '/ask/askbook.js', attributes: {api: '/ask', lang: 'en-GB'}});
});

test('without an address, Docusaurus gets nothing for its pages', () => {
  assert.deepEqual(widgetIn(context(), validateOptions({options: {}})), {});
});

test('with the hash router there is a warning instead of a widget', (t) => {
  const warn = t.mock.method(console, 'warn', () => {});

  assert.deepEqual(widgetIn(context('hash'), validateOptions({options: {apiUrl: '/ask'}})), {});
  assert.match(warn.mock.calls[0]?.arguments[0] as string, /with the hash router .* there is no widget\.$/);
});

function of(options: Options, locales = ENGLISH): ReturnType<typeof widgetOf> {
  return widgetOf(validateOptions({options}), locales);
}

function context(experimental_router: 'browser' | 'hash' = 'browser'): LoadContext {
  return {
    siteConfig: {url: 'https://book.example', future: {experimental_router}},
    i18n: {currentLocale: 'en', locales: ['en'], localeConfigs: {en: {htmlLang: 'en-GB'}}},
  } as unknown as LoadContext;
}
