import { createHash } from 'node:crypto';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Refusal } from '../model/command.ts';
import { nameSchema } from '../model/node.ts';
import { parseRecipe, type Recipe, recipeNames } from './recipe.ts';

export interface RecipeFile {
  readonly path: string;
  /** Of a file's mode only this counts, as in git. */
  readonly kind: 'file' | 'executable' | 'link';
  readonly sha256: string;
}

/** `images/<name>/` as read: the recipe, its hooks in order, and every file it consists of. */
export interface RecipeFolder {
  readonly folder: string;
  readonly recipe: Recipe;
  readonly hooks: readonly string[];
  readonly files: readonly RecipeFile[];
}

/** @throws Refusal when there is no such image, the recipe is wrong, or a hook's name has no place in the order. */
export async function readRecipeFolder(recipesFolder: string, name: string): Promise<RecipeFolder> {
  const folder = join(recipesFolder, name);
  const file = join(folder, 'image.yaml');
  const text = nameSchema.safeParse(name).success && (await readFile(file, 'utf8').catch(() => undefined));
  if (typeof text !== 'string') {
    const known = await recipeNames(recipesFolder);
    throw new Refusal(`There is no image "${name}" (no ${file})`, `There are: ${known.join(', ') || 'none'}`);
  }
  const recipe = parseRecipe(text, file);
  const hooks = (await readdir(join(folder, 'hooks')).catch(() => [])).toSorted();
  const odd = hooks.find((hook) => !/^\d\d-[\w.-]+\.sh$/.test(hook));
  if (odd !== undefined) {
    throw new Refusal(`${join(folder, 'hooks', odd)} has no place in the order`, 'Name it like 10-web.sh');
  }
  return { folder, recipe, hooks, files: await readFiles(folder) };
}

/** Every file below `folder`, by path. */
export async function readFiles(folder: string): Promise<RecipeFile[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map(async (entry): Promise<RecipeFile> => {
      const full = join(entry.parentPath, entry.name);
      const path = relative(folder, full);
      if (entry.isSymbolicLink()) return { path, kind: 'link', sha256: sha256(await readlink(full)) };
      const kind = (await stat(full)).mode & 0o111 ? 'executable' : 'file';
      return { path, kind, sha256: sha256(await readFile(full)) };
    });
  return (await Promise.all(files)).toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');
