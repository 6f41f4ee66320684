import assert from 'node:assert/strict';
import {test} from 'node:test';

import {compose} from '../src/compose';
import {SITE, blogPlugin, build, doc, docsPlugin, pagesPlugin, routes, version} from './loaded';

test('a doc becomes a page', () => {
  const oil = doc('oil', {sidebar: 'book', tags: [{label: 'Fuel'}], lastUpdatedAt: Date.UTC(2024, 4, 6)});
  const {manifest} = compose(
    build({
      plugins: [docsPlugin([version([oil], {sidebars: {book: [{type: 'doc', id: 'oil'}]}})])],
      routes: [{path: '/docs', routes: routes(['/docs/oil', 'docs/oil.md'])}],
    }),
  );

  assert.deepEqual(manifest.pages, [
    {
      kind: 'doc',
      route: '/docs/oil',
      file: 'docs/oil/index.html',
      title: 'Title of oil',
      source: 'docs/oil.md',
      pluginId: 'default',
      version: 'current',
      id: 'oil',
      sidebar: 'book',
      breadcrumbs: [],
      position: 0,
      tags: ['Fuel'],
      unlisted: false,
      noIndex: false,
      lastUpdatedAt: '2024-05-06T00:00:00.000Z',
    },
  ]);
  assert.deepEqual(manifest.docs, [
    {
      pluginId: 'default',
      path: '/docs',
      versions: [{name: 'current', label: 'Next', path: '/docs', isLast: true, banner: null, noIndex: false}],
    },
  ]);
});

test('a route is what the site serves, whatever its trailing slash', () => {
  const plugins = [docsPlugin([version([doc('oil'), doc('care', {permalink: '/docs/care/'})])])];
  const addresses = (trailingSlash: boolean, ...paths: [string, string]) =>
    compose(
      build({
        site: {...SITE, trailingSlash},
        plugins,
        routes: routes([paths[0], 'docs/care.md'], [paths[1], 'docs/oil.md']),
      }),
    ).manifest.pages.map(({route, file}) => [route, file]);

  assert.deepEqual(addresses(true, '/docs/care/', '/docs/oil/'), [
    ['/docs/care/', 'docs/care/index.html'],
    ['/docs/oil/', 'docs/oil/index.html'],
  ]);
  assert.deepEqual(addresses(false, '/docs/care', '/docs/oil'), [
    ['/docs/care', 'docs/care.html'],
    ['/docs/oil', 'docs/oil.html'],
  ]);
});

test('a route is encoded and belongs to its locale, a file is neither', () => {
  const parts = doc('parts', {permalink: '/fr/pièces de rechange'});
  const {manifest} = compose(
    build({
      site: {...SITE, baseUrl: '/fr/', locale: 'fr'},
      plugins: [docsPlugin([version([parts])])],
      routes: routes(['/fr/pièces de rechange', 'docs/parts.md']),
    }),
  );

  assert.equal(manifest.pages[0]?.route, '/fr/pi%C3%A8ces%20de%20rechange');
  assert.equal(manifest.pages[0]?.file, 'pièces de rechange/index.html');
});

test('the home page of a locale is its index, even without trailing slashes', () => {
  const {manifest} = compose(
    build({
      site: {...SITE, baseUrl: '/fr/', trailingSlash: false},
      plugins: [pagesPlugin([{permalink: '/fr/', source: '@site/src/pages/index.tsx'}])],
      routes: routes(['/fr/', 'src/pages/index.tsx']),
    }),
  );

  assert.deepEqual(
    manifest.pages.map(({route, file, title}) => [route, file, title]),
    [['/fr/', 'index.html', null]],
  );
});

test('docs are in reading order, and know the categories above them', () => {
  const ids = ['z', 'intro', 'care', 'glass', 'a', 'wick', 'hidden'];
  const docs = ids.map((id) => doc(id, id === 'wick' ? {sidebar: 'parts'} : {}));
  const {manifest} = compose(
    build({
      plugins: [
        docsPlugin([
          version(docs, {
            sidebars: {
              book: [
                {type: 'doc', id: 'intro'},
                {type: 'ref'},
                {
                  type: 'category',
                  label: 'Care',
                  link: {type: 'doc', id: 'care'},
                  items: [
                    {type: 'doc', id: 'wick'},
                    {
                      type: 'category',
                      label: 'Glass',
                      link: {type: 'generated-index'},
                      items: [{type: 'doc', id: 'glass'}],
                    },
                  ],
                },
              ],
              parts: [
                {type: 'category', label: 'Small', items: [{type: 'doc', id: 'wick'}]},
                {type: 'doc', id: 'hidden'},
              ],
            },
          }),
        ]),
      ],
      routes: routes(...ids.map((id): [string, string] => [`/docs/${id}`, `docs/${id}.md`])),
    }),
  );

  assert.deepEqual(
    manifest.pages.map(({id, position, breadcrumbs}) => [position, id, breadcrumbs.join(' > ')]),
    [
      [0, 'intro', ''],
      [1, 'care', ''],
      [2, 'glass', 'Care > Glass'],
      [3, 'wick', 'Small'],
      [4, 'hidden', ''],
      [5, 'a', ''],
      [6, 'z', ''],
    ],
  );
});

test('positions count from 0 in each instance and version, versions stay in order, instances are sorted', () => {
  const intro = (path: string) => doc('intro', {permalink: path, source: `@site${path}.md`});
  const {manifest} = compose(
    build({
      plugins: [
        docsPlugin([
          version([intro('/next/intro')], {isLast: false}),
          version([intro('/intro')], {versionName: '2.0', noIndex: true}),
        ]),
        docsPlugin([version([intro('/club/intro')])], 'club'),
      ],
      routes: routes(['/club/intro', 'club/intro.md'], ['/next/intro', 'next/intro.md'], ['/intro', 'intro.md']),
    }),
  );

  assert.deepEqual(
    manifest.pages.map((page) => [page.pluginId, page.version, page.position, page.noIndex]),
    [
      ['club', 'current', 0, false],
      ['default', 'current', 0, false],
      ['default', '2.0', 0, true],
    ],
  );
});

test('posts are newest first, pages by route, and lists of posts are no pages', () => {
  const post = (id: string, day: number) => ({
    id,
    metadata: {
      permalink: id,
      source: `@site/blog${id}.md`,
      title: id,
      date: new Date(Date.UTC(2024, 0, day)),
      tags: [],
      unlisted: false,
    },
  });
  const {manifest} = compose(
    build({
      plugins: [
        pagesPlugin([
          {permalink: '/shop', source: '@site/src/pages/shop.mdx', title: 'Shop', unlisted: true},
          {permalink: '/about', source: '@site/src/pages/about.tsx'},
        ]),
        blogPlugin([post('/old', 1), post('/b', 2), post('/a', 2)]),
      ],
      routes: [
        ...routes(['/a', 'blog/a.md'], ['/b', 'blog/b.md'], ['/old', 'blog/old.md']),
        ...routes(['/about', 'src/pages/about.tsx'], ['/shop', 'src/pages/shop.mdx']),
        {path: '/blog'},
      ],
    }),
  );

  assert.deepEqual(
    manifest.pages.map(({route, position, unlisted}) => [route, position, unlisted]),
    [
      ['/a', 0, false],
      ['/b', 1, false],
      ['/old', 2, false],
      ['/about', 0, false],
      ['/shop', 1, true],
    ],
  );
});

test('a page that was rendered with noindex says so', () => {
  const {manifest} = compose(
    build({
      plugins: [docsPlugin([version([doc('open'), doc('private')])])],
      routes: routes(['/docs/open', 'docs/open.md'], ['/docs/private', 'docs/private.md']),
      isNoIndex: (path) => path === '/docs/private',
    }),
  );

  assert.deepEqual(
    manifest.pages.map(({id, noIndex}) => [id, noIndex]),
    [
      ['open', false],
      ['private', true],
    ],
  );
});

test('where two files claim one address, the one that is shown has it', () => {
  const {manifest, leftOut} = compose(
    build({
      plugins: [docsPlugin([version([doc('a', {permalink: '/same'}), doc('b', {permalink: '/same'})])])],
      routes: routes(['/same', 'docs/b.md'], ['/same', 'docs/a.md']),
    }),
  );

  assert.deepEqual(manifest.pages.map(({id, position}) => [id, position]), [['b', 0]]);
  assert.deepEqual(leftOut, ['docs/a.md is left out: /same shows docs/b.md.']);
});

test('a slash at the end makes no second address', () => {
  const {manifest, leftOut} = compose(
    build({
      plugins: [docsPlugin([version([doc('care'), doc('care/index', {permalink: '/docs/care/'})])])],
      routes: routes(['/docs/care', 'docs/care.md'], ['/docs/care/', 'docs/care/index.md']),
    }),
  );

  assert.deepEqual(manifest.pages.map(({id}) => id), ['care']);
  assert.deepEqual(leftOut, ['docs/care/index.md is left out: /docs/care shows docs/care.md.']);
});

test('a page that is not found at its own address is left out', () => {
  const {manifest, leftOut} = compose(
    build({
      plugins: [pagesPlugin([{permalink: '/old%20shop', source: '@site/src/pages/old shop.md'}])],
      routes: routes(['/old%20shop', 'src/pages/old shop.md']),
    }),
  );

  assert.deepEqual(manifest.pages, []);
  assert.match(leftOut.join(), /^src\/pages\/old shop\.md is left out: Docusaurus renders "not found"/);
});

test('a page without a route stops the build', () => {
  assert.throws(
    () => compose(build({plugins: [docsPlugin([version([doc('oil')])])]})),
    /^Error: docs\/oil\.md is loaded as a page at \/docs\/oil, but the site has no such route\.$/,
  );
});

test('a site without a folder of pages is fine', () => {
  assert.deepEqual(compose(build({plugins: [pagesPlugin(null)]})).manifest.pages, []);
});
