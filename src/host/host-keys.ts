import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../model/command.ts';
import { oneAtATime } from '../model/one-at-a-time.ts';
import type { HostKey } from '../model/report.ts';

const PREFIX = 'host-key-';
const TIMEOUT_MS = 20_000;

/**
 * Makes SSH host keys with OpenSSH's own program, one at a time. It writes files, so it gets a folder that nobody else
 * may enter, for as long as it takes; what a kill left of an earlier one is deleted.
 */
export function hostKeyMaker(run: Run, folder: string): (comment: string) => Promise<HostKey> {
  const inTurn = oneAtATime();
  let isClean = false;
  return (comment) =>
    inTurn(async () => {
      if (!isClean) await clear(folder);
      isClean = true;
      const scratch = await mkdtemp(join(folder, PREFIX)); // 0700
      try {
        const file = join(scratch, 'key');
        await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', file], {
          timeoutMs: TIMEOUT_MS,
        });
        const privateKey = await readFile(file, 'utf8');
        return { privateKey, publicKey: (await readFile(`${file}.pub`, 'utf8')).trim() };
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
    });
}

async function clear(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const left = (await readdir(folder)).filter((name) => name.startsWith(PREFIX));
  // What another user left is that one's to delete.
  await Promise.allSettled(left.map((name) => rm(join(folder, name), { recursive: true, force: true })));
}
