import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, cp, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Refusal } from '../model/command.ts';
import { type Generation, generationSchema, type StoredGeneration } from '../model/generation.ts';
import type { Recipe } from './recipe.ts';

/** What a build left in its work folder (`root.squashfs`, `boot/`, `packages.txt`), and where it is to go. */
export interface SealOrder {
  readonly image: string;
  readonly recipe: Recipe;
  readonly recipeKey: string;
  readonly workFolder: string;
  readonly logFile: string;
  readonly generationsFolder: string;
  readonly now: () => Date;
}

/**
 * Makes the built files a generation: gathered under a hidden name, written through to the disk, then renamed. Whenever
 * this is cut short there is either the whole generation or none.
 */
export async function seal(order: SealOrder): Promise<StoredGeneration> {
  const { generationsFolder, workFolder } = order;
  const generation = await describe(order);
  const stage = join(generationsFolder, '.sealing');
  const folder = join(generationsFolder, generation.id);
  // What a killed build left: only the one that holds the work folder gets here.
  await rm(stage, { recursive: true, force: true });
  try {
    await mkdir(stage, { mode: 0o755 });
    await move(join(workFolder, 'root.squashfs'), join(stage, 'root.squashfs'));
    await move(join(workFolder, 'boot'), join(stage, 'boot'));
    await cp(order.logFile, join(stage, 'build.log'));
    await writeFile(join(stage, 'manifest.json'), `${JSON.stringify(generation, undefined, 2)}\n`);
    await settle(stage);
    await rename(stage, folder).catch((error: NodeJS.ErrnoException) => {
      // The id follows from the content: what is there already is the same.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    await sync(generationsFolder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    throw new Refusal(`The disk of ${generationsFolder} is full`, 'Make room there and build again', {
      cause: error,
    });
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
  return { ...generation, folder };
}

/** What the step that collects the boot tree calls the kernel and its initramfs. */
const KERNEL_OF = {
  arm64: { kernel: 'kernel8.img', initramfs: 'initramfs8' },
  amd64: { kernel: 'vmlinuz', initramfs: 'initrd.img' },
} as const;

async function describe({ image, recipe, recipeKey, workFolder, now }: SealOrder): Promise<Generation> {
  const boot = join(workFolder, 'boot');
  const { loaders: _, ...settings } = recipe.boot;
  const files: Generation['boot']['files'] = {};
  for (const path of await filesBelow(boot)) files[relative(boot, path)] = await fingerprint(path);
  const packages = (await readFile(join(workFolder, 'packages.txt'), 'utf8')).trim().split('\n');
  const content = {
    image,
    arch: recipe.base.arch,
    recipeKey,
    root: await fingerprint(join(workFolder, 'root.squashfs')),
    boot: { ...KERNEL_OF[recipe.base.arch], ...settings, files },
    roles: recipe.roles,
    packages: Object.fromEntries(packages.map((line) => line.split(' '))),
  };
  const hash = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  return generationSchema.parse({
    id: `${image}-${hash.slice(0, 12)}`,
    sealedAt: now().toISOString(),
    ...content,
  });
}

async function fingerprint(path: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return { size: (await stat(path)).size, sha256: hash.digest('hex') };
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}

async function move(from: string, to: string): Promise<void> {
  await rename(from, to).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EXDEV') throw error;
    await cp(from, to, { recursive: true });
  });
}

/** Everything readable for the servers, which are not root, and on the disk. */
async function settle(folder: string): Promise<void> {
  for (const path of await filesBelow(folder)) {
    await chmod(path, 0o644);
    await sync(path);
  }
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const folders = entries.filter((entry) => entry.isDirectory());
  for (const path of [...folders.map((entry) => join(entry.parentPath, entry.name)), folder]) {
    await chmod(path, 0o755);
    await sync(path);
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
