import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Refusal } from '../../model/command.ts';
import { nameSchema } from '../../model/node.ts';
import { type Mistake, readYaml } from '../../model/yaml-file.ts';
import type { Arch } from '../plan/step.ts';
import { type ImageSource, type RecipeChain, settingsOf } from './chain.ts';
import { unreadable } from './folder.ts';
import { RECIPE_FILE, rawBase, recipeNames } from './names.ts';
import { createRenderer } from './render.ts';
import { type ParsedRecipe, settleVariables } from './settle.ts';
import { readSource } from './source.ts';

/** A chain, or all that is wrong with it. */
export type Loaded =
  | { readonly chain: RecipeChain; readonly recipes: readonly ParsedRecipe[]; readonly mistakes?: never }
  | { readonly chain?: never; readonly mistakes: readonly Mistake[] };

/**
 * @param settings values for variables, as texts of the command line.
 * @throws Refusal when there is no such image.
 */
export async function loadChain(
  recipesFolder: string,
  name: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Loaded> {
  const folder = resolve(recipesFolder);
  const found = await parseChain(folder, name);
  if ('problem' in found) return { mistakes: [found] };
  const { recipes } = found;
  const arches = recipes.map(({ yaml }) => rawBase(yaml.value).arch);
  // Where none is right that is a mistake found below; what else is wrong is to be told with it.
  const arch: Arch = arches.findLast((value) => value !== undefined) ?? 'arm64';
  const settled = settleVariables(recipes, settings, arch);
  const mistakes: Mistake[] = [...settled.mistakes, ...archMistakes(recipes, arch)];
  const render = createRenderer();
  const images: ImageSource[] = [];
  for (const [index, recipe] of recipes.entries()) {
    const context = settled.contexts[index] ?? { arch };
    const read = await readSource(recipe, { folder: join(folder, recipe.name), arch, context, render });
    if (read.source === undefined) mistakes.push(...read.mistakes);
    else images.push(inheritMirror(read.source, images.at(-1)));
  }
  if (mistakes.length > 0) return { mistakes: inOrder(mistakes) };
  const { arch: _, ...variables } = settled.contexts.at(-1) ?? {};
  const texts = Object.fromEntries(recipes.map((recipe) => [recipe.name, recipe.text ?? '']));
  const chain = { name, arch, images, variables, texts };
  const mistake = rootMistake(chain, recipes.at(-1));
  return mistake === undefined ? { chain, recipes } : { mistakes: [mistake] };
}

/** What a root that can be written to is put together by. */
function rootMistake(chain: RecipeChain, leaf: ParsedRecipe | undefined): Mistake | undefined {
  const { boot, node } = settingsOf(chain);
  if (leaf === undefined || boot.initramfs !== undefined || (node?.root ?? 'readonly') === 'readonly')
    return undefined;
  const problem = `"${node?.root}" needs an initramfs, and "boot.initramfs" is false; leave one of the two out`;
  return { file: leaf.yaml.file, line: leaf.yaml.lineOf(['node', 'root']), key: 'node.root', problem };
}

/** File by file, from top to bottom. */
function inOrder(mistakes: readonly Mistake[]): Mistake[] {
  const files = mistakes.map(({ file }) => file);
  return mistakes.toSorted(
    (a, b) => files.indexOf(a.file) - files.indexOf(b.file) || (a.line ?? 0) - (b.line ?? 0),
  );
}

/** Where an image names no mirror, what it installs comes from where the one below got its packages. */
function inheritMirror(source: ImageSource, below: ImageSource | undefined): ImageSource {
  const mirror = source.recipe.mirror ?? below?.recipe.mirror;
  return mirror === undefined ? source : { ...source, recipe: { ...source.recipe, mirror } };
}

/** The recipes from the root of the chain to `name`; or why there is no such chain. */
async function parseChain(folder: string, name: string): Promise<{ recipes: ParsedRecipe[] } | Mistake> {
  const recipes: ParsedRecipe[] = [];
  for (let next: string | undefined = name; next !== undefined; ) {
    const child = recipes[0];
    const place = child && {
      file: child.yaml.file,
      line: child.yaml.lineOf(['base', 'from']),
      key: 'base.from',
    };
    const circle = recipes.findIndex((recipe) => recipe.name === next);
    const file = join(folder, next, RECIPE_FILE);
    if (circle >= 0) {
      const names = recipes.slice(0, circle + 1).map((recipe) => recipe.name);
      const problem = `goes in a circle: ${[...names.toReversed(), next].join(' → ')}; one of them has to start from Debian, an image or a tarball`;
      return { file, ...place, problem };
    }
    const text = nameSchema.safeParse(next).success
      ? await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => error)
      : undefined;
    if (text instanceof Error && text.code !== 'ENOENT') return unreadable(file, text);
    if (typeof text !== 'string') {
      const known = (await recipeNames(folder)).join(', ') || 'none';
      const missing = `there is no image "${next}" (no ${file})`;
      if (!place) throw new Refusal(missing.replace('there', 'There'), `There are: ${known}`);
      return { ...place, problem: `${missing}; there are: ${known}` };
    }
    const yaml = readYaml(text, file);
    if ('problem' in yaml) return yaml;
    recipes.unshift({ name: next, yaml, text });
    next = rawBase(yaml.value).from;
  }
  return { recipes };
}

/** What was made by others is for the architecture it was made for. */
function archMistakes([root, ...above]: readonly ParsedRecipe[], arch: Arch): Mistake[] {
  if (root === undefined) return [];
  const { base } = root.yaml.value as { base?: Record<string, unknown> };
  const made = rawBase(root.yaml.value).arch;
  const isImported = base !== null && typeof base === 'object' && ('image' in base || 'tarball' in base);
  if (!isImported || made === undefined || made === arch) return [];
  const path = ['base', 'arch'];
  return above
    .map(({ yaml }) => ({ yaml, own: rawBase(yaml.value).arch }))
    .filter(({ own }) => own !== undefined && own !== made)
    .map(({ yaml }) => ({
      file: yaml.file,
      line: yaml.lineOf(path),
      key: path.join('.'),
      problem: `the image "${root.name}" is imported and ${made}; only what starts from Debian can be built for another`,
    }));
}
