import { createHash } from 'node:crypto';
import { STEPS_FOLDER } from './isolation.ts';
import { plan } from './plan.ts';
import { type RecipeFolder, readFiles } from './recipe-folder.ts';

/** Scripts that every step goes through. */
const ALWAYS = ['enter', 'probe'];

/**
 * Hash of everything a build is made from but the state of the Debian archive: the recipe's files, the plan that follows
 * from them, and the scripts that this plan runs, so that a changed step also builds anew.
 */
export async function recipeKey(source: RecipeFolder): Promise<string> {
  const steps = plan(source.recipe, source.hooks);
  const scripts = new Set([...steps.map(({ script }) => script), ...ALWAYS].map((name) => `${name}.sh`));
  const made = {
    files: source.files,
    plan: steps,
    steps: (await readFiles(STEPS_FOLDER)).filter(({ path }) => scripts.has(path)),
  };
  return createHash('sha256').update(JSON.stringify(made)).digest('hex');
}
