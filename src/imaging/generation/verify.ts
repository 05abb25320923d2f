import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { GenerationCheck, StoredGeneration } from '../../model/generation.ts';
import { hashFile } from '../hash-file.ts';

/**
 * Compares a generation's files with its manifest.
 * @param depth `sizes`: a look at each file. `boot tree`: the bytes of the boot tree as well. `all`: those of the root, too,
 * which takes a second for every few hundred megabytes.
 */
export async function checkGeneration(
  generation: StoredGeneration,
  depth: 'sizes' | 'boot tree' | 'all',
): Promise<GenerationCheck> {
  const { folder, root, boot } = generation;
  if (!(await stat(folder).catch(() => undefined))) return { isGone: true, faults: [`${folder} is gone`] };
  const faults: string[] = [];
  for (const [name, { size, sha256 }] of Object.entries(boot.files)) {
    faults.push(...(await faultOf(folder, join('boot', name), size, depth === 'sizes' ? undefined : sha256)));
  }
  faults.push(
    ...(await faultOf(folder, 'root.squashfs', root.size, depth === 'all' ? root.sha256 : undefined)),
  );
  return { isGone: false, faults };
}

async function faultOf(
  folder: string,
  name: string,
  size: number,
  sha256: string | undefined,
): Promise<string[]> {
  const file = join(folder, name);
  try {
    const found = await stat(file);
    if (!found.isFile()) return [`${name} is no file`];
    if (found.size !== size) return [`${name} has ${found.size} bytes, not ${size}`];
    if (sha256 === undefined) return [];
    return (await hashFile(file)) === sha256 ? [] : [`${name} has other bytes than were sealed`];
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return [code === 'ENOENT' ? `${name} is missing` : `${name} cannot be read (${message})`];
  }
}
