import { open, rename, rm, stat } from 'node:fs/promises';
import { hashFile } from '../hash-file.ts';
import type { LockedPackage } from '../plan/step.ts';

/** Moves a complete file to its place, written through; an incomplete one is gone. */
export async function keep(file: string, one: LockedPackage, target: string): Promise<boolean> {
  if (!(await isSound(file, one))) {
    await rm(file, { force: true });
    return false;
  }
  const handle = await open(file, 'r');
  await handle
    .chmod(0o644)
    .then(() => handle.sync())
    .finally(() => handle.close());
  await rename(file, target);
  return true;
}

/** Whether it is the very file that the package names. */
export async function isSound(file: string, { size, sha256 }: LockedPackage): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  return found?.size === size && (await hashFile(file)) === sha256;
}
