import { execFile } from 'node:child_process';
import { lstat, rm } from 'node:fs/promises';
import { promisify } from 'node:util';

/** All exports wait for it; what is left is taken away the next time. */
const LONGEST_MS = 60_000;
const ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' };

/** Takes away a file, or whatever a node has put in its place; nothing when nothing is there. */
export async function remove(path: string): Promise<void> {
  await removeFolder(path);
  await rm(path, { force: true });
}

/**
 * Takes away a folder with all that is in it; nothing when it is none. By coreutils, which goes from folder to folder by what
 * it has open: Node goes by names, and the node that fills the folder could put a link in the place of one meanwhile.
 */
export async function removeFolder(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!found?.isDirectory()) return;
  const options = { env: ENVIRONMENT, timeout: LONGEST_MS, killSignal: 'SIGKILL' } as const;
  try {
    await promisify(execFile)('rm', ['-rf', '--one-file-system', '--', path], options);
  } catch (error) {
    const { killed, stderr } = error as { killed?: boolean; stderr?: string };
    const why = killed ? 'it holds more than can be deleted in a minute' : stderr?.trim().split('\n').at(-1);
    throw new Error(`${path} cannot be taken away: ${why}`);
  }
}
