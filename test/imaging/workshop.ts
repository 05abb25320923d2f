import { chmod, cp, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { filter } from '../../src/host/filter.ts';
import { run } from '../../src/host/run.ts';
import { type BuildOrder, type BuildProgress, buildImage } from '../../src/imaging/build.ts';
import { sourceOpener } from '../../src/imaging/import/source.ts';
import { smallTarball } from './small-root.ts';

export const skip = process.geteuid?.() !== 0 && 'only root builds';

/** A folder of recipes and all a build needs, for images that are built in a second. */
export interface Workshop {
  readonly top: string;
  readonly order: BuildOrder;
  readonly progress: BuildProgress[];
  /** SHA-256 of the tarball at `images/<image>/root.tar.gz`. */
  addTarball(image: string): Promise<string>;
  write(path: string, text: string, mode?: number): Promise<void>;
  /** Builds; gives the ids of the steps that ran, or 'unchanged'. */
  build(extra?: Partial<BuildOrder>): Promise<readonly string[] | 'unchanged'>;
}

export async function workshop(t: TestContext, name = 'small'): Promise<Workshop> {
  const top = await mkdtemp(join(await quickFolder(), 'netboot-build-'));
  t.after(() => removeAll(top));
  const progress: BuildProgress[] = [];
  const order: BuildOrder = {
    name,
    recipesFolder: join(top, 'images'),
    generationsFolder: join(top, 'generations'),
    cacheFolder: join(top, 'cache'),
    run,
    openSource: sourceOpener(run, filter, join(top, 'cache/hashes')),
    progress: (event) => void progress.push(event),
  };
  return {
    top,
    order,
    progress,
    async addTarball(image) {
      const file = join(top, 'images', image, 'root.tar.gz');
      await mkdir(dirname(file), { recursive: true });
      made ??= makeTarball();
      const { path, sha256 } = await made;
      await cp(path, file);
      return sha256;
    },
    async write(path, text, mode) {
      const file = join(top, 'images', path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
      if (mode !== undefined) await chmod(file, mode);
    },
    async build(extra = {}) {
      progress.length = 0;
      const { outcome } = await buildImage({ ...order, ...extra });
      return outcome === 'unchanged' ? outcome : ranSteps(progress);
    },
  };
}

/** Ids of the steps that ran, in order, without the sealing that every build ends with. */
export function ranSteps(progress: readonly BuildProgress[]): string[] {
  return progress.flatMap((event) =>
    event.kind === 'started' && !event.step.endsWith('/seal') ? [event.step] : [],
  );
}

/** One for all tests of a process. */
let made: Promise<{ path: string; sha256: string }> | undefined;

async function makeTarball() {
  const folder = await mkdtemp(join(tmpdir(), 'netboot-tarball-'));
  process.once('exit', () => process.getBuiltinModule('node:fs').rmSync(folder, { recursive: true }));
  const path = join(folder, 'root.tar.gz');
  return { path, sha256: await smallTarball(path) };
}

/** Sealed generations are immutable. */
async function removeAll(folder: string): Promise<void> {
  await run('chattr', ['-R', '-f', '-i', folder]).catch(() => {});
  await rm(folder, { recursive: true });
}

/** Memory, where it is to be had: what is written through to a disk takes seconds on a busy one. */
async function quickFolder(): Promise<string> {
  const memory = '/dev/shm';
  return (await stat(memory).catch(() => undefined))?.isDirectory() ? memory : tmpdir();
}
