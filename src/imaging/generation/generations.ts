import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { generationSchema, type StoredGeneration } from '../../model/generation.ts';

/**
 * The sealed generations in a folder, oldest first. What is none is left out and told in `problems`, one sentence each;
 * names with a leading dot are builds being sealed.
 */
export async function readGenerations(
  folder: string,
): Promise<{ generations: StoredGeneration[]; problems: string[] }> {
  const generations: StoredGeneration[] = [];
  const problems: string[] = [];
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') problems.push(`${folder} cannot be read: ${error.message}`);
    return [];
  });
  for (const name of names.toSorted()) {
    if (name.startsWith('.')) continue;
    const generation = await readGeneration(join(folder, name), name);
    if (typeof generation === 'string')
      problems.push(`${join(folder, name)} is no generation: ${generation}`);
    else generations.push(generation);
  }
  generations.sort((a, b) => Date.parse(a.sealedAt) - Date.parse(b.sealedAt));
  return { generations, problems };
}

/** The generation, or why it is none. */
export async function readGeneration(folder: string, name: string): Promise<StoredGeneration | string> {
  let manifest: unknown;
  try {
    manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'));
  } catch (error) {
    return `manifest.json cannot be read (${(error as Error).message})`;
  }
  const result = generationSchema.safeParse(manifest);
  if (!result.success) {
    const [issue] = result.error.issues;
    return `manifest.json is wrong at ${issue?.path.join('.') || 'the top'} (${issue?.message})`;
  }
  const generation = result.data;
  if (generation.id !== name) return `its manifest says it is ${generation.id}`;
  const root = await stat(join(folder, 'root.squashfs')).catch(() => undefined);
  if (root?.size !== generation.root.size) {
    return root
      ? `root.squashfs has ${root.size} bytes, not ${generation.root.size}`
      : 'root.squashfs is missing';
  }
  return { ...generation, folder };
}
