import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { nameSchema } from '../../model/node.ts';
import { readYaml } from '../../model/yaml-file.ts';
import type { Arch } from '../plan/step.ts';
import { ARCHES } from './package-line.ts';

/** The file that makes a folder an image. */
export const RECIPE_FILE = 'image.yaml';

/** The images there are recipes for. */
export async function recipeNames(recipesFolder: string): Promise<string[]> {
  const names = await readdir(recipesFolder).catch(() => []);
  const isRecipe = (name: string) => stat(join(recipesFolder, name, RECIPE_FILE)).catch(() => undefined);
  const found = await Promise.all(names.map(async (name) => ((await isRecipe(name)) ? [name] : [])));
  return found.flat().toSorted();
}

/**
 * The architecture an image is built for: what it says, or else what it is built on.
 * @returns nothing when there is no such recipe, or it is wrong: the build says how.
 */
export async function recipeArch(recipesFolder: string, name: string): Promise<Arch | undefined> {
  const seen = new Set<string>();
  for (let next: string | undefined = name; next !== undefined && !seen.has(next); ) {
    seen.add(next);
    if (!nameSchema.safeParse(next).success) return undefined;
    const file = join(recipesFolder, next, RECIPE_FILE);
    const text = await readFile(file, 'utf8').catch(() => '');
    const { arch, from } = rawBase(readYaml(text, file).value);
    if (arch !== undefined) return arch;
    next = from;
  }
  return undefined;
}

/** What leads through the chain, as it stands in a file that nobody has checked yet. */
export function rawBase(value: unknown): { readonly from?: string; readonly arch?: Arch } {
  const base = (value as { base?: { from?: unknown; arch?: unknown } | null } | undefined)?.base;
  const arch = ARCHES.find((known) => known === base?.arch);
  return {
    ...(typeof base?.from === 'string' ? { from: base.from } : {}),
    ...(arch === undefined ? {} : { arch }),
  };
}
