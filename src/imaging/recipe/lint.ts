import { readdir, readFile } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { Refusal } from '../../model/command.ts';
import { nameSchema } from '../../model/node.ts';
import type { Mistake } from '../../model/yaml-file.ts';
import type { ImageSource } from './chain.ts';
import { readTree } from './folder.ts';
import { loadChain } from './load.ts';
import { recipeNames } from './names.ts';
import { findWarnings, type Warning } from './warnings.ts';

export interface Finding extends Mistake {
  /** `warning`: it can be built, and is probably not what was meant. */
  readonly severity: 'mistake' | 'warning';
}

export interface LintResult {
  /** Those looked at. */
  readonly images: readonly string[];
  /** Each once, though several images build on where it is; by file and line. */
  readonly findings: readonly Finding[];
}

/**
 * All that is wrong with one image and what it is built on, or with all images of the folder.
 * @param settings values for variables, as texts of the command line.
 * @throws Refusal when there is nothing to look at.
 */
export async function lintImages(
  recipesFolder: string,
  name?: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<LintResult> {
  const images = name === undefined ? await recipeNames(recipesFolder) : [name];
  if (images.length === 0) {
    throw new Refusal(
      `There is no image in ${recipesFolder}`,
      'Make a folder there with an image.yaml in it',
    );
  }
  const findings = new Map<string, Finding>();
  for (const image of images) {
    const { error } = nameSchema.safeParse(image);
    if (error && name === undefined) {
      const file = join(resolve(recipesFolder), image);
      const problem = `this is no name for an image: ${error.issues[0]?.message}; rename the folder`;
      findings.set(file, { severity: 'mistake', file, problem });
      continue;
    }
    for (const finding of await lintChain(recipesFolder, image, settings)) {
      const { file, line, key, problem } = finding;
      findings.set(JSON.stringify([file, line, key, problem]), finding);
    }
  }
  const order = ({ file, line = 0 }: Finding) =>
    `${relative(resolve(recipesFolder), file)}\0${String(line).padStart(9)}`;
  return {
    images,
    findings: [...findings.values()].toSorted((a, b) => (order(a) < order(b) ? -1 : 1)),
  };
}

async function lintChain(
  recipesFolder: string,
  name: string,
  settings: Readonly<Record<string, string>>,
): Promise<Finding[]> {
  const loaded = await loadChain(recipesFolder, name, settings);
  if (loaded.chain === undefined) {
    return loaded.mistakes.map((mistake) => ({ severity: 'mistake', ...mistake }));
  }
  const { chain, recipes } = loaded;
  const findings: Finding[] = [];
  for (const [index, image] of chain.images.entries()) {
    const yaml = recipes[index]?.yaml;
    if (yaml === undefined) continue;
    const warnings = [
      ...findWarnings(chain.images.slice(0, index + 1)),
      ...(await emptyFolders(image)),
      ...(await idleHooks(image)),
      ...(await strayFolders(image)),
    ];
    findings.push(
      ...warnings.map(({ path, file, problem }): Finding => {
        const severity = 'warning';
        if (file !== undefined) return { severity, file: join(image.folder, file), problem };
        if (path === undefined) return { severity, file: yaml.file, problem };
        return { severity, file: yaml.file, line: yaml.lineOf(path), key: path.join('.'), problem };
      }),
    );
  }
  return findings;
}

async function emptyFolders({ folder, recipe }: ImageSource): Promise<Warning[]> {
  const { inputs, folders } = await readTree(join(folder, 'rootfs'));
  return folders
    .filter((path) => !inputs.some((input) => input.path.startsWith(path + sep)))
    .filter((path) => !recipe.files.some((rule) => rule.path === `/${path}`))
    .filter((path) => !folders.some((other) => other.startsWith(path + sep)))
    .map((path) => ({
      file: join('rootfs', path),
      problem: `is empty, and git keeps no empty folders; name it in the recipe: files: [{path: /${path}/}]`,
    }));
}

async function idleHooks({ folder, hooks }: ImageSource): Promise<Warning[]> {
  const texts = hooks.map(async ({ name }) => ({
    name,
    text: await readFile(join(folder, 'hooks', name), 'utf8'),
  }));
  return (await Promise.all(texts))
    .filter(({ text }) => text.split('\n').every((line) => /^\s*(#|$|set -)/.test(line)))
    .map(({ name }) => ({ file: join('hooks', name), problem: 'has no line that does anything' }));
}

const FOLDERS = ['rootfs', 'templates', 'hooks', 'debs'];

/** A folder whose name is mistyped would be missed without a word. */
async function strayFolders({ folder, recipe, localDebs }: ImageSource): Promise<Warning[]> {
  const { base } = recipe;
  const used = [...localDebs, ...('image' in base ? [base.image] : 'tarball' in base ? [base.tarball] : [])];
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && !FOLDERS.includes(entry.name) && !entry.name.startsWith('.'))
    .filter(({ name }) => !used.some((file) => file.startsWith(join(folder, name) + sep)))
    .map(({ name }) => ({ file: name, problem: `is read by nobody; the folders are ${FOLDERS.join(', ')}` }));
}
