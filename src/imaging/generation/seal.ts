import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, relative } from 'node:path';
import { Refusal, type Run } from '../../model/command.ts';
import {
  type BootSettings,
  type Generation,
  generationSchema,
  type Origin,
  type StoredGeneration,
} from '../../model/generation.ts';
import { hashFile } from '../hash-file.ts';
import { formatLock } from '../packages/lock-file.ts';
import type { Arch, Lock } from '../plan/step.ts';
import { copyTree, filesBelow, flush, moveFile, settle } from './durable-tree.ts';
import { readGeneration } from './generations.ts';
import { protect, unprotect } from './immutable.ts';
import { LISTING, type ListedFile, packListing, parseListing } from './listing.ts';
import { parsePackages, renderSbom } from './sbom.ts';
import { takeSealStage } from './seal-stage.ts';

/** What a build made, and how it came to be. */
export interface GenerationOrder {
  readonly image: string;
  readonly arch: Arch;
  /** Hash of all that was built from: the same key means that building again would change nothing. */
  readonly recipeKey: string;
  /** The names of kernel and initramfs are those in the boot tree. */
  readonly boot: BootSettings;
  readonly roles: Generation['roles'];
  readonly node?: Generation['node'];
  /** The folder with `root.squashfs`, which is moved, and with what steps/listing.sh tells of the root (`packages.txt` at least). */
  readonly squashed: string;
  /** Folders whose files together are the boot tree. They are copied: what happens to the cache is nothing to the sealed. */
  readonly bootTrees: readonly string[];
  readonly logFile: string;
  readonly generationsFolder: string;
  /** The recipes as they were read, the outermost base first. */
  readonly chain: ReadonlyArray<{ readonly image: string; readonly text: string }>;
  readonly variables: Origin['variables'];
  readonly lock?: Lock;
  readonly seconds: number;
  /** Seconds since 1970 that the build counts as now. */
  readonly epoch: number;
  readonly now: () => Date;
  /** Makes it immutable once it is there, where the file system can: {@link protect}. */
  readonly protectWith?: Run | undefined;
}

/**
 * Makes the built files a generation: gathered under a hidden name, written through to the disk, then renamed. Whenever
 * this is cut short there is either the whole generation or none.
 */
export async function sealGeneration(order: GenerationOrder): Promise<StoredGeneration> {
  const { generationsFolder, protectWith } = order;
  try {
    await using stage = await takeSealStage(generationsFolder);
    const generation = await gather(order, stage.path);
    await settle(stage.path, { file: 0o444, folder: 0o555 });
    const folder = join(generationsFolder, generation.id);
    const sealed = await appear(stage.path, folder, generation, protectWith);
    await flush(generationsFolder);
    if (protectWith) await protect(protectWith, folder);
    return sealed;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    throw new Refusal(`The disk of ${generationsFolder} is full`, 'Make room there and build again', {
      cause: error,
    });
  }
}

async function gather(order: GenerationOrder, stage: string): Promise<Generation> {
  const { squashed } = order;
  await moveFile(join(squashed, 'root.squashfs'), join(stage, 'root.squashfs'));
  await mkdir(join(stage, 'boot'));
  for (const tree of order.bootTrees) await copyTree(tree, join(stage, 'boot'));
  await copyFile(order.logFile, join(stage, 'build.log'));
  if (order.lock) await writeFile(join(stage, 'image.lock'), formatLock(order.lock));
  await mkdir(join(stage, 'recipe'));
  for (const { image, text } of order.chain) await writeFile(join(stage, 'recipe', `${image}.yaml`), text);
  const files = await readFile(join(squashed, 'files.0'), 'utf8').catch(ifMissing(undefined));
  const listed =
    files === undefined ? [] : parseListing(files, await readFile(join(squashed, 'hashes.0'), 'utf8'));
  if (files !== undefined) await writeFile(join(stage, LISTING), packListing(listed));

  const packages = parsePackages(await readFile(join(squashed, 'packages.txt'), 'utf8'));
  const provides = providesOf(order.boot, listed);
  const generation = await describe(order, stage, packages, provides);
  const sbom = renderSbom({
    image: order.image,
    version: generation.contains ?? generation.id,
    packages,
    lock: order.lock,
    osRelease: await readFile(join(squashed, 'os-release'), 'utf8').catch(ifMissing('')),
    epoch: order.epoch,
  });
  await writeFile(join(stage, 'sbom.cdx.json'), sbom);
  await writeFile(join(stage, 'manifest.json'), `${JSON.stringify(generation, undefined, 2)}\n`);
  return generation;
}

async function describe(
  order: GenerationOrder,
  stage: string,
  packages: ReadonlyArray<{ readonly name: string; readonly version: string }>,
  provides: string[],
): Promise<Generation> {
  const boot = join(stage, 'boot');
  const files: Generation['boot']['files'] = {};
  for (const path of await filesBelow(boot)) files[relative(boot, path)] = await fingerprint(path);
  const { image, arch, recipeKey, roles, node } = order;
  const content = {
    image,
    arch,
    recipeKey,
    root: await fingerprint(join(stage, 'root.squashfs')),
    boot: { ...order.boot, files },
    roles,
    ...(node === undefined ? {} : { node }),
    packages: Object.fromEntries(packages.map(({ name, version }) => [name, version])),
  };
  return generationSchema.parse({
    id: `${image}-${sha256(JSON.stringify(content)).slice(0, 12)}`,
    sealedAt: order.now().toISOString(),
    ...content,
    contains: sha256(JSON.stringify([arch, content.root, content.boot, roles, ...(node ? [node] : [])])),
    provides,
    origin: {
      by: builder(),
      seconds: Math.round(order.seconds * 10) / 10,
      chain: order.chain.map(({ image, text }) => ({ image, recipe: sha256(text) })),
      variables: order.variables,
      ...(order.lock ? { lock: sha256(formatLock(order.lock)) } : {}),
    },
  });
}

/** A unit of the service by which nodes report; images/base has it. */
const REPORT_UNIT = 'etc/systemd/system/netboot-report.service';

/** See `provides` of model/generation.ts. It follows from what is sealed, and so is not part of its id. */
function providesOf(boot: BootSettings, listed: readonly ListedFile[]): string[] {
  return [
    // Every initramfs of ours has imaging/initramfs/init.
    ...(boot.initramfs === undefined ? [] : ['root-modes']),
    ...(listed.some(({ path }) => path === REPORT_UNIT) ? ['reports'] : []),
  ];
}

/**
 * The staged folder gets its name. The id follows from the content: what is there already is the same, unless somebody
 * damaged it; then the new one takes its place.
 */
async function appear(
  stage: string,
  folder: string,
  generation: Generation,
  run: Run | undefined,
): Promise<StoredGeneration> {
  try {
    await rename(stage, folder);
    return { ...generation, folder };
  } catch (error) {
    // EPERM: the one that is there is protected.
    const isTaken = ['ENOTEMPTY', 'EEXIST', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
    if (!isTaken || !(await stat(folder).catch(() => undefined))) throw error;
  }
  const present = await readGeneration(folder, generation.id);
  if (typeof present !== 'string') return present;
  if (run) await unprotect(run, folder);
  const broken = `${stage}.broken`;
  await rename(folder, broken);
  await rename(stage, folder);
  await rm(broken, { recursive: true, force: true });
  return { ...generation, folder };
}

/** `user@host`: the person, also behind sudo. */
function builder(): string {
  const { SUDO_USER, USER } = process.env;
  const user = SUDO_USER ?? (process.geteuid?.() === 0 ? 'root' : USER) ?? `uid ${process.geteuid?.()}`;
  return `${user}@${hostname()}`;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const ifMissing =
  <Value>(value: Value) =>
  (error: NodeJS.ErrnoException): Value => {
    if (error.code !== 'ENOENT') throw error;
    return value;
  };

async function fingerprint(path: string): Promise<{ size: number; sha256: string }> {
  return { size: (await stat(path)).size, sha256: await hashFile(path) };
}
