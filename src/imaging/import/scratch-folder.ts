import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startTime } from '../run/start-time.ts';

/** A folder for what is unpacked before a build begins; gone with the scope. */
export interface ScratchFolder extends AsyncDisposable {
  readonly path: string;
}

/** Takes one below `parent`; its name says whose it is. */
export async function takeScratchFolder(parent: string): Promise<ScratchFolder> {
  await mkdir(parent, { recursive: true });
  await clearScratch(parent);
  const path = join(parent, `${process.pid}.${await startTime(process.pid)}`);
  await mkdir(path);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Removes those below `parent` that were left by processes that are no more. */
export async function clearScratch(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    const [pid = '', born] = name.split('.');
    if (born !== (await startTime(pid))) await rm(join(parent, name), { recursive: true, force: true });
  }
}
