import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../model/command.ts';
import { takeFromSystem } from './leftovers.ts';

/** A folder only this build uses; gone with the scope, whatever happens in it. */
export interface WorkFolder extends AsyncDisposable {
  readonly path: string;
}

/** Takes a work folder below `cache`. Only for who holds the build lock: what else lies there was left by a killed build. */
export async function takeWorkFolder(cache: string, run: Run): Promise<WorkFolder> {
  await clearWork(cache, run);
  const path = join(cache, 'work', `${process.pid}.${crypto.randomUUID().slice(0, 8)}`);
  await mkdir(path, { recursive: true });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Whether a killed build left something, or a build is under way. */
export async function hasWork(cache: string): Promise<boolean> {
  return (await readdir(join(cache, 'work')).catch(() => [])).length > 0;
}

/** Removes what killed builds left: processes, mounts, loop devices and files. Only for who holds the build lock. */
export async function clearWork(cache: string, run: Run): Promise<void> {
  const parent = join(cache, 'work');
  for (const name of await readdir(parent).catch(() => [])) {
    const path = join(parent, name);
    await takeFromSystem(run, path);
    await rm(path, { recursive: true, force: true });
  }
}
