/** The commit a site is built from. The only module that starts git. */

import {execFileSync} from 'node:child_process';

/** What CI says, else what git says about the folder, else an empty string. */
export function findRevision(siteDir: string, env: NodeJS.ProcessEnv): string {
  return env.GITHUB_SHA || env.CI_COMMIT_SHA || askGit(siteDir);
}

function askGit(siteDir: string): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: siteDir,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    // No git, or no repository: a site may be built from a plain folder.
    return '';
  }
}
