import { join, resolve } from 'node:path';
import { Refusal, type Run } from '../model/command.ts';
import type { StoredGeneration } from '../model/generation.ts';
import { type Log, silentLog } from '../model/log.ts';
import { collectGarbage } from './cache/gc.ts';
import { readGenerations } from './generation/generations.ts';
import { protect } from './generation/immutable.ts';
import { sealBuild } from './generation/seal-build.ts';
import { clearSealStages } from './generation/seal-stage.ts';
import { clearScratch } from './import/scratch-folder.ts';
import type { SourceOpener } from './import/source.ts';
import { plan, printPlan, type StepState } from './plan/plan.ts';
import type { Lock, Step } from './plan/step.ts';
import type { RecipeChain } from './recipe/chain.ts';
import { readRecipeChain } from './recipe/read.ts';
import { type BuildOwner, takeBuildLock } from './run/build-lock.ts';
import { checkFolders, checkPrograms } from './run/preflight.ts';
import { runPlan } from './run/run-plan.ts';
import { stopped } from './run/run-step.ts';
import { survey } from './run/survey.ts';
import { openTranscript } from './run/transcript.ts';
import { clearWork, hasWork, takeWorkFolder } from './run/work-folder.ts';

/** Which step something is about: its id, its name for people, and its place among all. */
export interface StepPlace {
  readonly step: string;
  readonly name: string;
  readonly index: number;
  readonly of: number;
}

export type BuildProgress =
  /** Another build has the cache; told once. */
  | { readonly kind: 'waiting'; readonly owner: BuildOwner | undefined }
  | ({ readonly kind: 'started' } & StepPlace)
  | ({ readonly kind: 'cached'; readonly bytes: number } & StepPlace)
  | ({ readonly kind: 'line'; readonly line: string } & StepPlace)
  /** Of what the step has to fetch. */
  | ({ readonly kind: 'bytes'; readonly done: number; readonly total: number } & StepPlace)
  | ({ readonly kind: 'finished'; readonly seconds: number; readonly bytes?: number } & StepPlace);

export interface BuildOrder {
  readonly name: string;
  /** Has `<name>/image.yaml`. */
  readonly recipesFolder: string;
  readonly generationsFolder: string;
  /** Layers, artifacts, downloads, logs, and the folder a build works in: on one file system that overlayfs can write to. */
  readonly cacheFolder: string;
  /** Bytes that the cache may have when a build is done. */
  readonly cacheLimit?: number;
  readonly run: Run;
  /** Reads the disk image or archive that a base is made of. */
  readonly openSource: SourceOpener;
  readonly progress: (progress: BuildProgress) => void;
  readonly log?: Log;
  /** Values for the recipe's variables. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Exactly these packages. */
  readonly lock?: Lock;
  /** Ask the archive for newer packages. */
  readonly update?: boolean;
  /** Run every step again. */
  readonly noCache?: boolean;
  /** Id of the step that is to run again, with all after it. */
  readonly fromStep?: string;
  readonly signal?: AbortSignal;
  /** Where the host's apt is configured. */
  readonly aptFolder?: string;
  readonly now?: () => Date;
}

export interface BuildResult {
  readonly generation: StoredGeneration;
  readonly outcome: 'built' | 'unchanged';
  /** The exact packages of this build; undefined when nothing was built. */
  readonly lock?: Lock;
}

/**
 * What a build of this image would do, and what the cache has of it: no mount, no network, nothing changed.
 * @throws Refusal when there is no such recipe, or it is wrong.
 */
export async function planBuild(
  order: Pick<
    BuildOrder,
    | 'name'
    | 'recipesFolder'
    | 'generationsFolder'
    | 'cacheFolder'
    | 'settings'
    | 'lock'
    | 'update'
    | 'noCache'
    | 'fromStep'
  >,
): Promise<{ steps: readonly Step[]; states: readonly StepState[]; text: string }> {
  const { chain, steps, again } = await readOrder(order);
  const { lock, update } = order;
  const found = await survey(chain, steps, { cache: resolve(order.cacheFolder), lock, update, again });
  const same = isForced(order)
    ? undefined
    : await sealed(resolve(order.generationsFolder), order.name, found.key);
  const states = same ? steps.map(() => ({ kind: 'cached' as const })) : found.states;
  const end = same ? `\nnothing to do: ${same.id} is what the recipe makes` : '';
  return { steps, states, text: `${printPlan(steps, states)}${end}` };
}

/**
 * Builds an image into a sealed generation, or finds that the one it would build is there already. Needs root.
 * @throws Refusal when it cannot or must not start, and when a step fails; then there is no generation, but a log, and
 * what was built before that step stays in the cache.
 */
export async function buildImage(order: BuildOrder): Promise<BuildResult> {
  const { name, run, signal, log = silentLog, now = () => new Date() } = order;
  const cache = resolve(order.cacheFolder);
  const generationsFolder = resolve(order.generationsFolder);
  const { chain, steps, again } = await readOrder(order);
  if (!isForced(order)) {
    const { key } = await survey(chain, steps, { cache, lock: order.lock, update: order.update });
    const same = await sealed(generationsFolder, name, key);
    if (same) {
      await clearLeftovers({ cacheFolder: cache, generationsFolder, run });
      // A kill may have come between its appearing and this.
      await protect(run, same.folder);
      return { generation: same, outcome: 'unchanged' };
    }
  }

  await checkFolders(steps, cache, generationsFolder);
  try {
    await using _lock = await takeBuildLock(cache, {
      run,
      image: name,
      now: now(),
      signal,
      onWait: (owner) => order.progress({ kind: 'waiting', owner }),
    });
    await using work = await takeWorkFolder(cache, run);
    await clearSealStages(generationsFolder);
    await checkPrograms(run, work.path, chain.arch, steps);

    const logFile = join(cache, 'logs', `${name}.log`);
    await using transcript = await openTranscript(logFile);
    log.info({ id: 'BUILD_START', image: name, logFile }, 'building an image');
    const started = now();
    const existing = (key: string) => (isForced(order) ? undefined : sealed(generationsFolder, name, key));
    const context = { ...order, cache, again, work: work.path, logFile, transcript, now, existing };
    const built = await runPlan(chain, steps, context);
    await transcript.close();
    const generation =
      built.existing ??
      (await sealBuild(chain, built, {
        ...order,
        generationsFolder,
        logFile,
        started,
        now,
        of: steps.length + 1,
      }));
    if (!built.existing)
      log.info({ id: 'BUILD_SEALED', image: name, generation: generation.id }, 'sealed a generation');
    if (order.cacheLimit !== undefined) {
      const trash = join(work.path, 'trash');
      await collectGarbage(cache, { limit: order.cacheLimit, keep: built.used, trash });
    }
    return { generation, outcome: built.existing ? 'unchanged' : 'built', lock: built.lock };
  } catch (error) {
    if (signal?.aborted && !(error instanceof Refusal)) throw stopped(name, 'waiting', error);
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    throw new Refusal(
      `The disk of ${cache} is full`,
      'Make room there and build again: what is built is kept',
      {
        cause: error,
      },
    );
  }
}

/** Something is to be built, whatever there is. */
const isForced = ({ noCache, fromStep }: Pick<BuildOrder, 'noCache' | 'fromStep'>): boolean =>
  noCache === true || fromStep !== undefined;

/** The newest generation that was built from the same. */
async function sealed(
  folder: string,
  name: string,
  key: string | undefined,
): Promise<StoredGeneration | undefined> {
  if (key === undefined) return undefined;
  const { generations } = await readGenerations(folder);
  return generations.findLast(({ image, recipeKey }) => image === name && recipeKey === key);
}

/** Removes what a killed build left, unless a build is under way. For every command that works with images. */
export async function clearLeftovers(
  order: Pick<BuildOrder, 'cacheFolder' | 'generationsFolder' | 'run'>,
): Promise<void> {
  const cache = resolve(order.cacheFolder);
  await clearSealStages(resolve(order.generationsFolder));
  await clearScratch(join(cache, 'imports'));
  if (!(await hasWork(cache))) return;
  const now = new Date();
  const busy = new AbortController();
  try {
    const onWait = () => busy.abort();
    await using _lock = await takeBuildLock(cache, {
      run: order.run,
      image: '',
      now,
      onWait,
      signal: busy.signal,
    });
    await clearWork(cache, order.run);
  } catch (error) {
    if (!busy.signal.aborted) throw error;
  }
}

async function readOrder({
  recipesFolder,
  name,
  settings = {},
  fromStep,
  noCache = false,
}: Pick<BuildOrder, 'recipesFolder' | 'name' | 'settings' | 'fromStep' | 'noCache'>): Promise<{
  chain: RecipeChain;
  steps: readonly Step[];
  again: (index: number) => boolean;
}> {
  const chain = await readRecipeChain(resolve(recipesFolder), name, { settings });
  const steps = plan(chain);
  const from = fromStep === undefined ? -1 : steps.findIndex(({ id }) => id === fromStep);
  if (fromStep !== undefined && from === -1) {
    const ids = steps.map(({ id }) => id).join(', ');
    throw new Refusal(`${name} has no step "${fromStep}"`, `Its steps are ${ids}`);
  }
  return { chain, steps, again: (index) => noCache || (from !== -1 && index >= from) };
}
