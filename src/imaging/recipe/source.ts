import { glob, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { Mistake } from '../../model/yaml-file.ts';
import type { Arch, StepInput } from '../plan/step.ts';
import type { FileRule, ImageSource, Recipe } from './chain.ts';
import { checkRecipe } from './check-recipe.ts';
import { checkSource } from './check-source.ts';
import { readText, readTree, type Tree } from './folder.ts';
import { readHooks } from './hooks.ts';
import { selectPackages } from './package-line.ts';
import type { Context, createRenderer } from './render.ts';
import type { RecipeText } from './schema.ts';
import type { ParsedRecipe } from './settle.ts';

interface Surroundings {
  readonly folder: string;
  readonly arch: Arch;
  readonly context: Context;
  readonly render: ReturnType<typeof createRenderer>;
}

type Read =
  | { readonly source: ImageSource; readonly mistakes?: never }
  | { readonly source?: never; readonly mistakes: readonly Mistake[] };

/** One image of a chain: its recipe and the files beside it. */
export async function readSource({ name, yaml }: ParsedRecipe, around: Surroundings): Promise<Read> {
  const { folder, arch, context, render } = around;
  const { text, mistakes: wrongValues } = checkRecipe(yaml, context, render);
  const mistakes: Mistake[] = [...wrongValues];
  const rootfs = await readTree(join(folder, 'rootfs'));
  const templates = await readTree(join(folder, 'templates'));
  const made = await renderTree(templates, context, render);
  const { hooks, mistakes: hookMistakes } = await readHooks(
    join(folder, 'hooks'),
    text?.hooks ?? {},
    context,
  );
  mistakes.push(...rootfs.mistakes, ...templates.mistakes, ...made.mistakes, ...hookMistakes);
  if (text === undefined) return { mistakes };

  const wrong = (path: readonly PropertyKey[], problem: string) =>
    mistakes.push({ file: yaml.file, line: yaml.lineOf(path), key: path.join('.'), problem });
  const localDebs = await findDebs(text, folder, arch, wrong);
  const base = await findBase(text.base, folder, wrong);
  checkSource({ text, rootfs, templates, hooks, folder }, wrong, mistakes);
  if (mistakes.length > 0) return { mistakes };

  const inputs = [...rootfs.inputs, ...made.inputs]
    .map((input) => ({ ...input, path: `rootfs/${input.path}` }))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const recipe = settleRecipe({ ...text, base }, inputs, arch);
  return { source: { name, folder, recipe, rootfs: inputs, hooks, localDebs } };
}

async function renderTree(
  { inputs }: Tree,
  context: Context,
  render: Surroundings['render'],
): Promise<{ inputs: StepInput[]; mistakes: Mistake[] }> {
  const mistakes: Mistake[] = [];
  const made: StepInput[] = [];
  for (const input of inputs) {
    if (input.content.kind !== 'file') {
      made.push(input);
      continue;
    }
    const { file } = input.content;
    const template = await readText(file);
    if ('problem' in template) {
      mistakes.push({ ...template, problem: `${template.problem}; what is no template goes to rootfs/` });
      continue;
    }
    const result = render(template.text, context);
    if ('text' in result) made.push({ ...input, content: { kind: 'text', text: result.text } });
    else mistakes.push(...result.mistakes.map(({ row, problem }) => ({ file, line: row, problem })));
  }
  return { inputs: made, mistakes };
}

type Wrong = (path: readonly PropertyKey[], problem: string) => void;

/** The .deb files named, for this architecture. @returns absolute paths, sorted. */
async function findDebs(text: RecipeText, folder: string, arch: Arch, wrong: Wrong): Promise<string[]> {
  const found = new Set<string>();
  for (const [index, line] of text.packages.local.entries()) {
    const path = ['packages', 'local', index];
    if (isAbsolute(line.name) || line.name.split('/').includes('..')) {
      wrong(path, 'the file has to lie beside the recipe, as debs/name_1.0_arm64.deb');
      continue;
    }
    const isForUs = selectPackages([line], arch).length > 0;
    const files = line.name.includes('*')
      ? await Array.fromAsync(glob(line.name, { cwd: folder }))
      : (await isFile(join(folder, line.name)))
        ? [line.name]
        : [];
    if (files.length === 0) wrong(path, `there is no file ${join(folder, line.name)}`);
    for (const file of files) if (isForUs) found.add(join(folder, file));
  }
  return [...found].toSorted();
}

const isFile = (path: string) =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );

/** The same with the path of an imported file made absolute. */
async function findBase(base: RecipeText['base'], folder: string, wrong: Wrong): Promise<RecipeText['base']> {
  const [key, file] =
    'image' in base ? ['image', base.image] : 'tarball' in base ? ['tarball', base.tarball] : [];
  if (key === undefined || file === undefined) return base;
  const path = isAbsolute(file) ? file : join(folder, file);
  if (!(await isFile(path))) {
    wrong(
      ['base', key],
      `there is no file ${path}; put it there, or let "netboot import-image" do all of this`,
    );
  }
  return { ...base, [key]: path } as RecipeText['base'];
}

function settleRecipe(text: RecipeText, inputs: readonly StepInput[], arch: Arch): Recipe {
  const { packages, files, variables: _, set: __, ...rest } = text;
  const brought = new Map(inputs.map(({ path, mode }) => [`/${path.slice('rootfs/'.length)}`, mode]));
  const isFolder = (path: string) => inputs.some((input) => input.path.startsWith(`rootfs${path}/`));
  return {
    ...rest,
    packages: {
      add: selectPackages(packages.add, arch),
      remove: selectPackages(packages.remove, arch),
      upgrade: packages.upgrade,
    },
    files: files.map(({ path: written, mode, content, owner, group }): FileRule => {
      const path = written.replace(/\/$/, '');
      const kind = written.endsWith('/') || isFolder(path) ? 'folder' : 'file';
      const otherwise = brought.get(path) ?? (kind === 'folder' ? 0o755 : 0o644);
      return {
        path,
        kind,
        owner,
        group,
        mode: mode ?? otherwise,
        ...(content === undefined ? {} : { content }),
      };
    }),
  };
}
