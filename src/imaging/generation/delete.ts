import { access, constants, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal, type Run } from '../../model/command.ts';
import { generationSchema } from '../../model/generation.ts';
import { flush } from './durable-tree.ts';
import { unprotect } from './immutable.ts';

const HIDDEN = '.deleting.';

/** @throws Refusal when this user may not delete generations. */
export async function checkDeletable(generationsFolder: string): Promise<void> {
  await access(generationsFolder, constants.W_OK | constants.X_OK).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return;
    throw new Refusal(
      `You may not delete anything in ${generationsFolder} (${error.code})`,
      'Run this as root.',
    );
  });
}

/**
 * Deletes generations: first each is gone by one rename, then its files go. What an earlier call had begun with is finished.
 * @returns the ids of all that are gone.
 */
export async function deleteGenerations(
  run: Run,
  generationsFolder: string,
  ids: readonly string[],
): Promise<string[]> {
  for (const id of ids.map((each) => generationSchema.shape.id.parse(each))) {
    const hidden = join(generationsFolder, `${HIDDEN}${id}`);
    await remove(run, hidden);
    await unprotect(run, join(generationsFolder, id)).catch(ifMissing);
    await rename(join(generationsFolder, id), hidden).catch(ifMissing);
  }
  await flush(generationsFolder).catch(ifMissing);
  const begun = await readdir(generationsFolder).catch(() => []);
  const names = begun.filter((name) => name.startsWith(HIDDEN));
  for (const name of names) await remove(run, join(generationsFolder, name));
  return [...new Set([...ids, ...names.map((name) => name.slice(HIDDEN.length))])];
}

async function remove(run: Run, folder: string): Promise<void> {
  await unprotect(run, folder).catch(ifMissing);
  await rm(folder, { recursive: true, force: true });
}

function ifMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
