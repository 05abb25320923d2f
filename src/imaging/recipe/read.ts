import { refuseMistakes } from '../../model/yaml-file.ts';
import type { RecipeChain } from './chain.ts';
import { loadChain } from './load.ts';

export interface ReadOptions {
  /** Values for variables, as given by `--set`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Reads `<recipesFolder>/<name>/` and all it is built on: variables settled, texts and templates rendered, files found.
 * What is read depends on nothing else, and not on comments, style or the order of keys (see {@link canonical}).
 * @throws Refusal with every mistake of the chain: `file:line: key: what is wrong and what would be right`.
 */
export async function readRecipeChain(
  recipesFolder: string,
  name: string,
  { settings = {} }: ReadOptions = {},
): Promise<RecipeChain> {
  const loaded = await loadChain(recipesFolder, name, settings);
  if (loaded.chain === undefined) throw refuseMistakes(loaded.mistakes);
  return loaded.chain;
}

export { canonical } from './canonical.ts';
export { baseOf, settingsOf } from './chain.ts';
