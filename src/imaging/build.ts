import { createWriteStream } from 'node:fs';
import { join, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { Refusal, type Run } from '../model/command.ts';
import type { StoredGeneration } from '../model/generation.ts';
import { type Log, silentLog } from '../model/log.ts';
import { describeFailure } from './failure.ts';
import { readGenerations } from './generations.ts';
import { isolated } from './isolation.ts';
import { readMirrors } from './mirror.ts';
import { plan, printPlan, type Step } from './plan.ts';
import { checkFolders, checkPrograms } from './preflight.ts';
import { type RecipeFolder, readRecipeFolder } from './recipe-folder.ts';
import { recipeKey } from './recipe-key.ts';
import { seal } from './seal.ts';
import { takeWorkFolder } from './work-folder.ts';

export type BuildProgress =
  | { readonly kind: 'started'; readonly step: string; readonly index: number; readonly of: number }
  | { readonly kind: 'line'; readonly line: string }
  | {
      readonly kind: 'finished';
      readonly step: string;
      readonly index: number;
      readonly of: number;
      readonly seconds: number;
    };

export interface BuildOrder {
  readonly name: string;
  /** Has `<name>/image.yaml`. */
  readonly recipesFolder: string;
  readonly generationsFolder: string;
  /** On a disk with 3 GiB free, best the one of the generations; also keeps the log of the last build of each image. */
  readonly workFolder: string;
  readonly run: Run;
  readonly progress: (progress: BuildProgress) => void;
  readonly log?: Log;
  /** Build although nothing changed. */
  readonly force?: boolean;
  readonly signal?: AbortSignal;
  /** Where the host's apt is configured. */
  readonly aptFolder?: string;
  readonly now?: () => Date;
}

export interface BuildResult {
  readonly generation: StoredGeneration;
  readonly outcome: 'built' | 'unchanged';
}

/** What a build of this image would do, one line a step. @throws Refusal when there is no such recipe, or it is wrong. */
export async function printBuildPlan(recipesFolder: string, name: string): Promise<string> {
  const { recipe, hooks } = await readRecipeFolder(resolve(recipesFolder), name);
  return printPlan(plan(recipe, hooks));
}

/**
 * Builds an image into a sealed generation, or finds that the one it would build is there already. Needs root.
 * @throws Refusal when it cannot or must not start, and when a step fails; then there is no generation, only a log.
 */
export async function buildImage(order: BuildOrder): Promise<BuildResult> {
  const { name, run, log = silentLog, now = () => new Date() } = order;
  const source = await readRecipeFolder(resolve(order.recipesFolder), name);
  const key = await recipeKey(source);
  const generationsFolder = resolve(order.generationsFolder);
  if (!order.force) {
    const { generations } = await readGenerations(generationsFolder);
    const same = generations.findLast(({ image, recipeKey }) => image === name && recipeKey === key);
    if (same) return { generation: same, outcome: 'unchanged' };
  }

  const parent = resolve(order.workFolder);
  await checkFolders(parent, generationsFolder);
  await using work = await takeWorkFolder(parent);
  await checkPrograms(run, work.path, source.recipe.base.arch);
  const environment = await stepEnvironment(source, work.path, order.aptFolder ?? '/etc/apt');
  const logFile = join(parent, `${name}.log`);
  log.info({ id: 'BUILD_START', image: name, recipeKey: key, logFile }, 'building an image');

  const steps = plan(source.recipe, source.hooks);
  const of = steps.length + 1;
  const timed = async <T>(step: string, index: number, work: () => Promise<T>): Promise<T> => {
    order.progress({ kind: 'started', step, index, of });
    const started = performance.now();
    const result = await work();
    order.progress({ kind: 'finished', step, index, of, seconds: (performance.now() - started) / 1000 });
    return result;
  };

  await using transcript = openTranscript(logFile);
  const onLine = (line: string) => {
    transcript.write(line);
    order.progress({ kind: 'line', line });
  };
  for (const [index, step] of steps.entries()) {
    transcript.write(`== ${step.name}`);
    await timed(step.name, index, () => runStep(step, { ...order, environment, logFile, onLine }));
  }
  await transcript.close();
  const generation = await timed('seal', steps.length, () =>
    seal({
      image: name,
      recipe: source.recipe,
      recipeKey: key,
      workFolder: work.path,
      logFile,
      generationsFolder,
      now,
    }),
  );
  log.info({ id: 'BUILD_SEALED', image: name, generation: generation.id }, 'sealed a generation');
  return { generation, outcome: 'built' };
}

/** All a step sees of the outside; see steps/enter.sh. */
async function stepEnvironment(
  source: RecipeFolder,
  work: string,
  aptFolder: string,
): Promise<Record<string, string>> {
  const own = source.recipe.mirror;
  const mirrors = own === undefined ? await readMirrors(aptFolder) : { main: own, security: undefined };
  return {
    RECIPE: source.folder,
    WORK: work,
    ROOT: join(work, 'root'),
    MIRROR: mirrors.main,
    SECURITY_MIRROR: mirrors.security ?? '',
  };
}

async function runStep(
  step: Step,
  context: {
    name: string;
    run: Run;
    signal?: AbortSignal;
    environment: Record<string, string>;
    logFile: string;
    onLine: (line: string) => void;
  },
): Promise<void> {
  const tail: string[] = [];
  const [program, args] = isolated(step.script);
  try {
    context.signal?.throwIfAborted();
    await context.run(program, args, {
      env: { ...context.environment, ...step.variables },
      onLine: (line) => {
        if (tail.push(line) > 40) tail.shift();
        context.onLine(line);
      },
      ...(context.signal ? { signal: context.signal } : {}),
    });
  } catch (error) {
    if (error instanceof Refusal) throw error;
    if (context.signal?.aborted) {
      throw new Refusal(`Building ${context.name} was stopped at "${step.name}"`, 'Nothing is left of it');
    }
    throw describeFailure({
      image: context.name,
      step: step.name,
      command: `steps/${step.script}.sh`,
      tail,
      logFile: context.logFile,
      cause: error,
    });
  }
}

/** The build's log file; written through when closed. */
function openTranscript(file: string) {
  const stream = createWriteStream(file);
  stream.on('error', () => {});
  const close = async () => {
    stream.end();
    await finished(stream).catch(() => {});
  };
  return { write: (line: string) => void stream.write(`${line}\n`), close, [Symbol.asyncDispose]: close };
}
