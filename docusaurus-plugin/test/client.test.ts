import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {setTimeout as after} from 'node:timers/promises';

import {follow, isPage, type Route} from '../src/client/follow';
import {FakeAnchor, FakeElement, FakeInput, clientModule, fakePage, matchPath} from './browser';

const OPENER = '[data-askbook-open]';
const ROUTES = [
  {path: '/', exact: true},
  {
    path: '/docs',
    routes: [
      {path: '/docs/intro', exact: true},
      {path: "/docs/l'été", exact: true},
    ],
  },
  {path: '*'},
] as Route[];
const WIDGET = {
  script: 'https://ask.book.example/askbook.js',
  attributes: {api: 'https://ask.book.example', lang: 'de', suggestions: '["Wie?"]'},
};

function opener(question = '', of: typeof FakeElement = FakeElement): FakeElement {
  return Object.assign(new of('button', [OPENER]), {dataset: {askbookOpen: question}});
}

function generated(widget: unknown = WIDGET): {[name: string]: unknown} {
  return {
    '@generated/globalData': {'docusaurus-plugin-askbook': {default: widget}},
    '@generated/routes': {__esModule: true, default: ROUTES},
    '@docusaurus/router': {matchPath},
  };
}

function begun(t: TestContext) {
  const page = fakePage(t);
  return {page, module: clientModule(generated())};
}

// While pages are written ---------------------------------------------------------------------------------

test('on a server the module does nothing', () => {
  const {onRouteDidUpdate} = clientModule(generated());

  onRouteDidUpdate();

  assert.equal('document' in globalThis, false);
});

test('without data the module does nothing', async (t) => {
  const page = fakePage(t);
  const {onRouteDidUpdate} = clientModule({...generated(), '@generated/globalData': {}});

  onRouteDidUpdate();
  page.click(opener());
  await after(10);

  assert.deepEqual([page.scripts, page.body], [[], []]);
});

// The element ---------------------------------------------------------------------------------------------

test('the element is loaded once, after the first page has been drawn, and told of each further page', async (t) => {
  const {page, module} = begun(t);
  assert.equal(page.scripts.length, 0);

  module.onRouteDidUpdate();
  await after(10);
  const [script] = page.scripts;
  const [chat] = page.body;
  page.visit('/docs/l%27%C3%A9t%C3%A9');
  module.onRouteDidUpdate();
  await after(10);

  assert.deepEqual([script?.src, script?.async, script?.crossOrigin], [WIDGET.script, true, 'anonymous']);
  assert.deepEqual([page.scripts.length, page.body.length], [1, 1]);
  assert.equal(chat?.tag, 'askbook-chat');
  assert.deepEqual(chat?.attributes, {...WIDGET.attributes, page: '/docs/l%27%C3%A9t%C3%A9'});
});

test('a citation is followed by the router', async (t) => {
  const {page, module} = begun(t);
  module.onRouteDidUpdate();
  await after(10);

  (page.body[0]?.navigate as (path: string) => void)('/docs/intro#oil');

  assert.deepEqual(page.history, ['https://book.example/docs/intro#oil', 'pop {"key":"abc"}']);
});

test('a click before the browser had time loads the element and opens it', async (t) => {
  const {page, module} = begun(t);

  const event = page.click(opener('How?'));
  module.onRouteDidUpdate();
  await after(10);

  assert.equal(event.defaultPrevented, true);
  assert.equal(page.scripts.length, 1);
  assert.deepEqual(page.body.map(({did}) => did), [['open How?']]);
});

test('only a plain click on an opener opens', async (t) => {
  const {page} = begun(t);

  page.click(new FakeElement('p'));
  page.click(opener(), {ctrlKey: true});
  await after(10);
  page.click(opener());
  await after(10);

  assert.deepEqual(page.body.map(({did}) => did), [['open ']]);
});

test('the menu of a small screen closes, and has the focus when the panel is closed', async (t) => {
  const {page} = begun(t);
  const close = new FakeElement('button', ['.navbar-sidebar--show .navbar-sidebar__close']);
  const menu = new FakeElement('button', ['.navbar__toggle']);
  page.elements = [close, menu];

  page.click(opener());
  await after(10);

  assert.deepEqual([close.did, menu.did], [['click'], ['focus']]);
});

// A server that is down -----------------------------------------------------------------------------------

test('without the script the page stays as it is, and buttons go where there is no search', async (t) => {
  const {page, module} = begun(t);
  page.serves = false;

  module.onRouteDidUpdate();
  await after(10);
  page.click(opener());
  await after(10);

  assert.deepEqual(page.body, []);
  assert.deepEqual(page.scripts.map(({did}) => did), [['remove'], ['remove']]);
  assert.equal(page.styles.length, 1);
  assert.match(page.styles[0] ?? '', /^:root:not\(:has\(\.DocSearch-Button, .+\)\) \[data-askbook-open\]:not\(\[href\]\) \{/);
});

test('without the script a button opens the search of the site, with the question', async (t) => {
  const {page, module} = begun(t);
  page.serves = false;
  const field = new FakeInput('input', ['.navbar__search-input']);
  page.elements = [field];

  module.onRouteDidUpdate();
  page.click(opener('How?'));
  await after(10);

  assert.deepEqual([field.did, field.value], [['focus'], 'How?']);
});

test('without the script a link is followed', async (t) => {
  const {page} = begun(t);
  page.serves = false;

  page.click(Object.assign(opener('', FakeAnchor), {href: 'https://book.example/help'}));
  await after(10);

  assert.deepEqual(page.assigned, ['https://book.example/help']);
});

test('when the server is back, the next click opens', async (t) => {
  const {page} = begun(t);
  page.elements = [new FakeElement('button', ['.DocSearch-Button'])];
  page.serves = false;
  page.click(opener());
  await after(10);

  page.serves = true;
  page.click(opener());
  await after(10);

  assert.deepEqual(page.elements[0]?.did, ['click']);
  assert.deepEqual(page.body.map(({did}) => did), [['open ']]);
});

// To a page -----------------------------------------------------------------------------------------------

const PAGES = {routes: ROUTES, matchPath};

test('a page of the router is entered in the history, under the key it knows, and without a text fragment', (t) => {
  const page = fakePage(t);

  follow('/docs/l%27%C3%A9t%C3%A9?lang=de#oil:~:text=a%20lamp', PAGES);

  assert.deepEqual(page.history, ['https://book.example/docs/l%27%C3%A9t%C3%A9?lang=de#oil', 'pop {"key":"abc"}']);
  assert.deepEqual(page.assigned, []);
});

test('an open menu closes first', async (t) => {
  const page = fakePage(t);
  page.elements = [new FakeElement('button', ['.navbar-sidebar--show .navbar-sidebar__close'])];

  follow('/', PAGES);
  const sofar = [...page.history];
  await after(10);

  assert.deepEqual(sofar, []);
  assert.deepEqual(page.history, ['https://book.example/', 'pop {"key":"abc"}']);
});

test('what the router does not have is loaded', (t) => {
  const page = fakePage(t);
  const paths = ['/de/docs/intro', '/docs/none', '/lamp.pdf', 'https://other.example/docs/intro', '/docs/intro#50%'];

  paths.forEach((path) => follow(path, PAGES));

  assert.deepEqual(page.assigned, paths);
  assert.deepEqual(page.history, []);
});

test('the router has its routes, with and without a slash at the end, and nothing else', () => {
  const has = (pathname: string) => isPage({pathname, hash: ''}, PAGES);

  assert.deepEqual(['/', '/docs/intro', '/docs/intro/', '/docs/l%27%C3%A9t%C3%A9'].map(has), [true, true, true, true]);
  assert.deepEqual(['/docs', '/docs/none', '/none', '/docs/%E0'].map(has), [false, false, false, false]);
});
