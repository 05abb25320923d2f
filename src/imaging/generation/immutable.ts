import { chmod, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, Refusal, type Run } from '../../model/command.ts';

/**
 * Makes a sealed generation immutable (chattr(1)), its folders too: not even root can alter it or delete a part of it
 * by mistake.
 * @returns false where that cannot be had: another file system, no CAP_LINUX_IMMUTABLE, no e2fsprogs.
 */
export function protect(run: Run, folder: string): Promise<boolean> {
  return chattr(run, '+i', folder);
}

/** Takes that back and lets the owner write its folders again, for whoever is about to delete it. */
export async function unprotect(run: Run, folder: string): Promise<void> {
  await chattr(run, '-i', folder);
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const folders = entries.filter((entry) => entry.isDirectory());
  for (const path of [folder, ...folders.map((entry) => join(entry.parentPath, entry.name))])
    await chmod(path, 0o755);
}

async function chattr(run: Run, change: '+i' | '-i', folder: string): Promise<boolean> {
  try {
    await run('chattr', ['-R', change, '--', folder]);
    return true;
  } catch (error) {
    if (error instanceof CommandError || error instanceof Refusal) return false;
    throw error;
  }
}
