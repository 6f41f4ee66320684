/** The manifest as a file of the build. The only module that touches the build's files. */

import {access, rename, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import type {Manifest} from './manifest';

export const MANIFEST_FILE = 'askbook-manifest.json';

/** Raises where a page's file is not in the build: a citation must never lead nowhere. */
export async function checkFiles({pages}: Manifest, outDir: string): Promise<void> {
  const missing = (
    await Promise.all(
      pages.map((page) => access(join(outDir, page.file)).then(() => [], () => [page])),
    )
  ).flat();
  const [first] = missing;
  if (first) {
    const others = missing.length > 1 ? ` The same is true of ${missing.length - 1} more.` : '';
    throw new Error(`${first.source} is served at ${first.route}, but the build has no file ${first.file}.${others}`);
  }
}

/** All of it or nothing: whoever reads meanwhile finds the old manifest or the new one. */
export async function writeManifest(manifest: Manifest, outDir: string): Promise<void> {
  const path = join(outDir, MANIFEST_FILE);
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(unfinished, `${JSON.stringify(manifest, null, 2)}\n`);
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, {force: true});
    throw error;
  }
}
