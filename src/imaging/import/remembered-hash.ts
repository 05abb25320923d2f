import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * SHA-256 of big files, kept so that a file is not read again only to see that it is the same. A file is the same when
 * device, inode, size, mtime and ctime are: nobody sets a ctime.
 */
export interface HashMemory {
  recall(file: BigIntStats): Promise<string | undefined>;
  remember(file: BigIntStats, sha256: string): Promise<void>;
}

/** A file that was written less than this before we read it may be written again within the same tick of the clock. */
const SETTLED_MS = 2000;

/** @param folder one small file for each hash; missing until there is one. */
export function hashMemory(folder: string, now: () => number = Date.now): HashMemory {
  const placeOf = (file: BigIntStats) =>
    join(folder, createHash('sha256').update(identityOf(file)).digest('hex').slice(0, 32));
  return {
    async recall(file) {
      const [identity, sha256] = (await readFile(placeOf(file), 'utf8').catch(() => '')).split('\n');
      return identity === identityOf(file) && /^[0-9a-f]{64}$/.test(sha256 ?? '') ? sha256 : undefined;
    },
    async remember(file, sha256) {
      if (now() - Number(file.ctimeMs) < SETTLED_MS) return;
      const place = placeOf(file);
      await mkdir(folder, { recursive: true });
      await writeFile(`${place}.${process.pid}`, `${identityOf(file)}\n${sha256}\n`);
      await rename(`${place}.${process.pid}`, place);
    },
  };
}

/** Equal for a file that nobody touched in between. */
export const identityOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].join(':');
