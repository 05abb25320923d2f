import { copyFile, link, mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal, type Run } from '../../model/command.ts';
import type { Entry } from '../cache/entries.ts';
import { type InputIdentity, stageInputs } from '../cache/inputs.ts';
import type { OpenedSource } from '../import/source.ts';
import type { Arch, LockSection, Step } from '../plan/step.ts';
import { describeFailure } from './failure.ts';
import { isolated } from './isolation.ts';
import { layRoot } from './root-mount.ts';

/** One run of one step, in a folder of its own that is gone afterwards, unless what it made was moved away. */
export interface StepRun extends AsyncDisposable {
  readonly folder: string;
  /** What it was given, from the copies it works on. */
  readonly inputs: readonly InputIdentity[];
  /** @throws Refusal with the last it said when it fails. */
  execute(given: Given): Promise<Made>;
}

export interface Given {
  /** The layers of the root, the lowest first. */
  readonly layers: readonly Entry[];
  readonly section: LockSection | undefined;
  /** Package files by SHA-256. */
  readonly debs: ReadonlyMap<string, string>;
  /** By the last part of their step's id. */
  readonly artifacts: ReadonlyMap<string, Entry>;
  readonly source?: OpenedSource;
}

export interface Made {
  /** Of a layer what it changed in the root, otherwise what it left in $OUT. */
  readonly content: string;
  /** Where the step wrote one: the time that the builds on it take for now, in seconds since 1970. */
  readonly epoch: number | undefined;
  readonly log: readonly string[];
}

export interface StepContext {
  readonly image: string;
  readonly arch: Arch;
  readonly run: Run;
  readonly logFile: string;
  readonly onLine: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Copies what a step is given; `folder` must not exist, and be on the file system of the cache. */
export async function prepareStep(step: Step, folder: string, context: StepContext): Promise<StepRun> {
  for (const name of ['out', 'artifacts', 'debs/fetch']) await mkdir(join(folder, name), { recursive: true });
  const inputs = await stageInputs(step.inputs, join(folder, 'input'));
  return {
    folder,
    inputs,
    execute: (given) => execute(step, folder, given, context),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

async function execute(step: Step, folder: string, given: Given, context: StepContext): Promise<Made> {
  const { layers } = given;
  for (const [name, { content }] of given.artifacts) await symlink(content, join(folder, 'artifacts', name));
  await offerPackages(join(folder, 'debs'), given);
  const epoch = layers.at(-1)?.epoch;
  const environment: Record<string, string> = {
    ...step.variables,
    ...(await layRoot(layers, folder)),
    INPUT: join(folder, 'input'),
    OUT: join(folder, 'out'),
    ARTIFACTS: join(folder, 'artifacts'),
    DEBS: join(folder, 'debs'),
    ARCH: context.arch,
    EMULATE: emulatorOf(context.arch),
    ...(epoch === undefined ? {} : { SOURCE_DATE_EPOCH: String(epoch) }),
    ...(given.section ? { REMOVED: given.section.removed.join(' ') } : {}),
    ...given.source?.environment,
    ...(step.network ? { NETWORK: 'yes' } : {}),
  };
  await using source = given.source;
  const log = await runScript(step, environment, context);
  await source?.verify();
  const written = await readFile(join(folder, 'scratch', 'epoch'), 'utf8').catch(() => undefined);
  const isFirst = layers.length === 0;
  return {
    content: join(folder, step.output === 'layer' ? (isFirst ? 'root' : 'upper') : 'out'),
    epoch: written === undefined ? epoch : Number.parseInt(written, 10),
    log,
  };
}

/** Which emulator the programs of an image need on this machine; none where they are its own. */
export function emulatorOf(arch: Arch, machine: string = process.arch): string {
  if (arch === 'arm64' && machine !== 'arm64') return 'aarch64';
  // Some 64-bit ARM cores run 32-bit programs: enter.sh asks the kernel.
  return arch === 'armhf' && machine !== 'arm' ? 'arm' : '';
}

/** The package files under the names that dpkg and apt know them by. */
async function offerPackages(folder: string, { section, debs }: Given): Promise<void> {
  for (const { name, version, architecture, sha256, purpose } of section?.packages ?? []) {
    const file = debs.get(sha256);
    if (file === undefined) throw new Error(`package ${name} was not fetched`);
    const title = `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`;
    const target = join(folder, purpose === 'fetch only' ? 'fetch' : '.', title);
    await link(file, target).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EXDEV') throw error;
      await copyFile(file, target);
    });
  }
}

/** @returns all it said. */
async function runScript(
  step: Step,
  env: Record<string, string>,
  { run, signal, onLine, image, logFile }: StepContext,
): Promise<string[]> {
  const log: string[] = [];
  const [program, args] = isolated(step.script, { network: step.network ?? false });
  try {
    signal?.throwIfAborted();
    await run(program, args, {
      env,
      // A path in the root is told as the image has it.
      onLine: (said) => {
        const line = env.ROOT ? said.replaceAll(env.ROOT, '') : said;
        log.push(line);
        onLine(line);
      },
      // unshare(1) passes over all else while it waits.
      ...(signal ? { signal, killSignal: 'SIGKILL' as const } : {}),
    });
    return log;
  } catch (error) {
    if (error instanceof Refusal) throw error;
    if (signal?.aborted) throw stopped(image, step.name, error);
    const command = step.variables.HOOK ? `hooks/${step.variables.HOOK}` : `steps/${step.script}.sh`;
    throw describeFailure({ image, step: step.name, command, tail: log.slice(-40), logFile, cause: error });
  }
}

export function stopped(image: string, step: string, cause: unknown): Refusal {
  const remedy = 'What was built before it is kept, and the next build goes on there';
  return new Refusal(`Building ${image} was stopped at "${step}"`, remedy, { cause });
}
