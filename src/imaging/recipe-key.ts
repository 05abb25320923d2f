import { createHash } from 'node:crypto';
import { STEPS_FOLDER } from './isolation.ts';
import { plan } from './plan.ts';
import { type RecipeFolder, readFiles } from './recipe-folder.ts';

/**
 * Hash of everything a build is made from but the state of the Debian archive: the recipe's files, the plan that follows
 * from them, and the step scripts themselves, so that a changed step also builds anew.
 */
export async function recipeKey(source: RecipeFolder): Promise<string> {
  const made = {
    files: source.files,
    plan: plan(source.recipe, source.hooks),
    steps: await readFiles(STEPS_FOLDER),
  };
  return createHash('sha256').update(JSON.stringify(made)).digest('hex');
}
