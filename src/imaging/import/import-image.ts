import { access, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { type Filter, Refusal, type Run } from '../../model/command.ts';
import { nameSchema } from '../../model/node.ts';
import { baseOf, type RecipeChain } from '../recipe/chain.ts';
import { readRecipeChain } from '../recipe/read.ts';
import { importBootSettings } from './boot-settings.ts';
import { expectedSum } from './expected-sum.ts';
import { lookInside } from './look-inside.ts';
import { missingPackages, renderRecipe } from './recipe-text.ts';
import { hashMemory } from './remembered-hash.ts';
import { takeScratchFolder } from './scratch-folder.ts';
import {
  type OpenedImage,
  openFile,
  openImage,
  type SourceOpener,
  type SourcePorts,
  sourceOpener,
} from './source.ts';
import type { ReadProgress } from './unpack.ts';

export interface ImportOrder {
  readonly file: string;
  /** Of the image; otherwise from the file's name. */
  readonly name?: string;
  readonly sha256?: string;
  readonly recipesFolder: string;
  readonly cacheFolder: string;
  readonly run: Run;
  readonly filter: Filter;
  readonly onProgress: (progress: ReadProgress) => void;
  readonly signal?: AbortSignal;
}

/** A recipe that is there now, and what the build of it goes on with. */
export interface Imported extends AsyncDisposable {
  readonly name: string;
  readonly recipe: string;
  readonly outcome: 'written' | 'was there';
  /** What a person should know before the build: packages it has to fetch. */
  readonly remarks: readonly string[];
  /** Hands over what is unpacked already. */
  readonly openSource: SourceOpener;
}

/**
 * Makes a recipe of a disk image: `<recipesFolder>/<name>/image.yaml`. Building it is the caller's.
 * @throws Refusal, and then there is no new recipe, and nothing else is left either.
 */
export async function importImage(order: ImportOrder): Promise<Imported> {
  const file = resolve(order.file);
  const name = nameOf(file, order.name);
  const recipesFolder = resolve(order.recipesFolder);
  const recipe = join(recipesFolder, name, 'image.yaml');
  const expected = await expectedSum(file, order.sha256);
  const { run, filter } = order;
  const hashesFolder = join(order.cacheFolder, 'hashes');
  const ports: SourcePorts = { run, filter, hashes: hashMemory(hashesFolder) };
  const fromFile = sourceOpener(run, filter, hashesFolder);

  const existing = await existingRecipe(recipesFolder, name);
  const known = await knownSum(file, ports, expected);
  if (existing && known !== undefined) {
    checkSame(existing, name, known, recipe);
    const nothing = () => Promise.resolve();
    return {
      name,
      recipe,
      outcome: 'was there',
      remarks: [],
      // The file may lie elsewhere than when the recipe was written.
      openSource: (source, options) =>
        fromFile(source.sha256 === known ? { ...source, file } : source, options),
      [Symbol.asyncDispose]: nothing,
    };
  }

  await using stack = new AsyncDisposableStack();
  const scratch = stack.use(await takeScratchFolder(join(order.cacheFolder, 'imports')));
  const image = stack.use(
    await openImage(file, expected, ports, {
      workFolder: scratch.path,
      onProgress: order.onProgress,
      ...(order.signal ? { signal: order.signal } : {}),
    }),
  );
  if (existing) checkSame(existing, name, image.sha256, recipe);
  const facts = await lookInside(run, image, file);
  if (!existing) {
    const boot = importBootSettings(facts.configTxt, facts.cmdlineTxt, facts.has64BitKernel);
    await writeRecipe(recipe, renderRecipe(file, image.sha256, facts, boot));
  }
  const missing = missingPackages(facts);
  const kept = stack.move();
  return {
    name,
    recipe,
    outcome: existing ? 'was there' : 'written',
    remarks:
      missing.length > 0
        ? [`the image has no ${missing.join(' and no ')}: the build gets that from the archives it names`]
        : [],
    openSource: handOver(image, fromFile),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** `2026-04-21-raspios-trixie-arm64-lite.img.xz` → `raspios-trixie-arm64-lite` */
function nameOf(file: string, given: string | undefined): string {
  const own = basename(file)
    .toLowerCase()
    .replace(/(\.img)?(\.(xz|zst|gz|img|raw))?$/, '')
    .replace(/^\d{4}-\d\d-\d\d-/, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const { data, error } = nameSchema.safeParse(given ?? own);
  if (data !== undefined) return data;
  throw new Refusal(
    `"${given ?? own}" is no name for an image: ${error.issues[0]?.message}`,
    'Give another with --name',
  );
}

async function existingRecipe(recipesFolder: string, name: string): Promise<RecipeChain | undefined> {
  const isThere = await access(join(recipesFolder, name)).then(
    () => true,
    () => false,
  );
  if (!isThere) return undefined;
  // What an import that was killed between two calls left is nobody's.
  const names = await readdir(join(recipesFolder, name));
  return names.length === 0 ? undefined : readRecipeChain(recipesFolder, name);
}

function checkSame(existing: RecipeChain, name: string, sha256: string, recipe: string): void {
  const base = existing.images.length === 1 ? baseOf(existing) : undefined;
  if (base?.kind === 'image' && base.sha256 === sha256) return;
  throw new Refusal(
    `There is an image "${name}" already, and it is made of something else (${recipe})`,
    'Import under another --name, or remove that recipe',
  );
}

/** Without reading the file, where its hash is remembered. @throws Refusal when it is another than expected. */
async function knownSum(
  file: string,
  { hashes }: SourcePorts,
  expected: string | undefined,
): Promise<string | undefined> {
  await using source = await openFile(file);
  await source.compression();
  const known = await hashes.recall(source.stats);
  return known !== undefined && expected !== undefined && known !== expected ? undefined : known;
}

async function writeRecipe(recipe: string, text: string): Promise<void> {
  const folder = join(recipe, '..');
  await mkdir(folder, { recursive: true });
  const draft = join(folder, `.image.yaml.${process.pid}`);
  try {
    await writeFile(draft, text, { mode: 0o644 });
    await rename(draft, recipe);
  } catch (error) {
    await rm(draft, { force: true });
    throw new Refusal(
      `${recipe} cannot be written (${(error as Error).message})`,
      'Make room or make it writable',
      { cause: error },
    );
  }
}

/** The first who asks for this image gets it as it is; whoever asks again, from the file. */
function handOver(image: OpenedImage, fromFile: SourceOpener): SourceOpener {
  let isThere = true;
  return async (source, options) => {
    if (!isThere || source.kind !== 'image' || source.sha256 !== image.sha256)
      return fromFile(source, options);
    isThere = false;
    return image;
  };
}
