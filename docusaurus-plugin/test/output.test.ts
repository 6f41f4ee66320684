import assert from 'node:assert/strict';
import {mkdir, mkdtemp, readFile, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, test} from 'node:test';

import {compose} from '../src/compose';
import {MANIFEST_FILE, checkFiles, writeManifest} from '../src/output';
import {findRevision} from '../src/revision';
import {build, doc, docsPlugin, routes, version} from './loaded';

const {manifest} = compose(
  build({
    plugins: [docsPlugin([version([doc('oil'), doc('wick')])])],
    routes: routes(['/docs/oil', 'docs/oil.md'], ['/docs/wick', 'docs/wick.md']),
  }),
);
let outDir: string;

beforeEach(async () => {
  outDir = await mkdtemp(join(tmpdir(), 'askbook-'));
});

afterEach(() => rm(outDir, {recursive: true}));

test('a page without its file is named', async () => {
  await mkdir(join(outDir, 'docs/oil'), {recursive: true});
  await writeFile(join(outDir, 'docs/oil/index.html'), '');

  await assert.rejects(checkFiles(manifest, outDir), {
    message: 'docs/wick.md is served at /docs/wick, but the build has no file docs/wick/index.html.',
  });
});

test('only the manifest is left behind, and the same manifest is the same bytes', async () => {
  await writeManifest(manifest, outDir);
  const before = await readFile(join(outDir, MANIFEST_FILE), 'utf8');
  await writeManifest(manifest, outDir);

  assert.deepEqual(JSON.parse(before), manifest);
  assert.equal(await readFile(join(outDir, MANIFEST_FILE), 'utf8'), before);
  assert.deepEqual(await readdir(outDir), [MANIFEST_FILE]);
});

test('the revision is what CI says, and empty outside of any repository', () => {
  assert.equal(findRevision(outDir, {GITHUB_SHA: 'one', CI_COMMIT_SHA: 'two'}), 'one');
  assert.equal(findRevision(outDir, {GITHUB_SHA: '', CI_COMMIT_SHA: 'two'}), 'two');
  assert.equal(findRevision(outDir, {}), '');
});
