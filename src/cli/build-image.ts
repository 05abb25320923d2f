import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { RolloutStatus } from '../api/schemas.ts';
import type { Config } from '../config.ts';
import type { BuildOrder, BuildProgress, BuildResult } from '../imaging/build.ts';
import type { SourceOpener } from '../imaging/import/source.ts';
import { Refusal } from '../model/command.ts';
import { openProgressView } from './build-progress.ts';
import { callApi } from './client.ts';
import { loadConfig } from './config-file.ts';
import { postToService } from './progress-post.ts';
import { pruneSuperseded } from './prune.ts';
import { collect, parseSettings } from './settings.ts';
import { formatBytes } from './table.ts';

interface BuildOptions {
  dryRun?: boolean;
  set?: readonly string[];
  locked?: boolean;
  lock?: string;
  update?: boolean;
  cache: boolean;
  publish?: boolean;
  fromStep?: string;
  verbose?: boolean;
  json?: boolean;
}

export function addBuildCommand(program: Command): void {
  program
    .command('build-image <image>')
    .description('build an image from its recipe, seal it, and have nodes boot it from now on (needs root)')
    .option('--dry-run', 'only print the steps, and what the cache has of them')
    .option('--set <variable=value>', "a value for one of the recipe's variables; may be repeated", collect)
    .option('--locked', "install exactly the packages of the recipe's image.lock")
    .option('--lock <file>', 'install exactly the packages of this lock')
    .option('--update', 'ask the archive for newer packages')
    .option('--no-cache', 'run every step again')
    .option('--no-publish', 'only seal it, for netboot rollout to move nodes to it')
    .option('--from-step <id>', 'run this step and all after it again; --dry-run tells the ids')
    .option('--verbose', 'show all that the build prints')
    .option('--json', 'for scripts')
    .action(async (name: string, options: BuildOptions) => {
      const config = await loadConfig(program);
      const asked = await orderOf(config, name, options);
      if (options.dryRun) return printPlan(asked, options.json === true);
      await mustBeFree(program, name, options); // before minutes of work, not after
      await buildAndPublish(program, asked, options);
    });
}

/** Builds, publishes what was built, and says so. @param openSource in place of reading a base's disk image from its file. */
export async function buildAndPublish(
  program: Command,
  asked: Asked,
  options: Pick<BuildOptions, 'verbose' | 'json'> & { readonly publish?: boolean },
  openSource?: SourceOpener,
): Promise<void> {
  const { generation, outcome, steps } = await build(program, asked, options, openSource);
  const isPublished = options.publish !== false;
  if (isPublished)
    await callApi(program, 'POST', `/v1/images/${encodeURIComponent(asked.name)}/publish`, {
      generation: generation.id,
    });
  const pruned = await pruneSuperseded(program, asked.name);
  if (options.json) {
    const result = { generation: generation.id, outcome, isPublished, steps, pruned };
    console.log(JSON.stringify(result, null, 2));
    return;
  }
  const { bootTreeBytes } = await import('../model/generation.ts');
  const sizes = `root ${formatBytes(generation.root.size)}, boot tree ${formatBytes(bootTreeBytes(generation))}`;
  if (outcome === 'unchanged') console.log(`nothing to do: ${generation.id} is what the recipe makes`);
  if (isPublished) console.log(`published ${generation.id} (${sizes}): nodes that boot from now on run it`);
  else console.log(`sealed ${generation.id} (${sizes}): move nodes to it with netboot rollout ${asked.name}`);
  if (pruned.length > 0) console.log(`deleted what nobody runs or falls back to: ${pruned.join(', ')}`);
}

/** Publishing needs the service, and nobody who moves the image's nodes at that time. */
async function mustBeFree(program: Command, name: string, { publish }: BuildOptions): Promise<void> {
  if (publish === false) return;
  const rollouts = await callApi<readonly RolloutStatus[]>(program, 'GET', '/v1/rollouts');
  const active = rollouts.find(
    ({ image, state }) => image === name && ['running', 'paused', 'stopped'].includes(state),
  );
  if (!active) return;
  throw new Refusal(
    `Rollout ${active.id} of image "${name}" is ${active.state}, so nothing can be published`,
    `Give it up (netboot rollout abort ${name}), or only build: netboot build-image ${name} --no-publish`,
  );
}

type Asked = Omit<BuildOrder, 'run' | 'openSource' | 'progress'>;

export async function orderOf({ paths, build }: Config, name: string, options: BuildOptions): Promise<Asked> {
  const { update, cache, fromStep } = options;
  const lockFile = options.lock ?? (options.locked ? join(paths.images, name, 'image.lock') : undefined);
  if (lockFile !== undefined && update) {
    const option = options.lock === undefined ? '--locked' : '--lock';
    throw new Refusal(`"${option}" and "--update" contradict each other`, 'Give one of them.');
  }
  return {
    name,
    recipesFolder: paths.images,
    generationsFolder: paths.generations,
    cacheFolder: paths.cache,
    cacheLimit: build.cacheLimit * 2 ** 30,
    settings: parseSettings(options.set ?? []),
    update: update === true,
    noCache: !cache,
    ...(fromStep === undefined ? {} : { fromStep }),
    ...(lockFile === undefined ? {} : { lock: await readLock(lockFile, name) }),
  };
}

async function readLock(file: string, name: string) {
  const { parseLock } = await import('../imaging/packages/lock-file.ts');
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    const remedy = `Write one with "netboot show-image ${name} --lock >${file}", or build without a lock.`;
    throw new Refusal(`The lock "${file}" cannot be read (${error.message})`, remedy);
  });
  const lock = parseLock(text, file);
  if (lock.image === name) return lock;
  throw new Refusal(`${file} is the lock of image "${lock.image}"`, `Name one of "${name}": --lock FILE.`);
}

async function printPlan(asked: Asked, json: boolean): Promise<void> {
  const { planBuild } = await import('../imaging/build.ts');
  const { steps, states, text } = await planBuild(asked);
  if (!json) return console.log(text);
  const rows = steps.map(({ id, name, output }, index) => ({ id, name, output, state: states[index] }));
  console.log(JSON.stringify(rows, null, 2));
}

/** What became of a step. */
interface StepReport {
  readonly step: string;
  readonly cached: boolean;
  readonly seconds?: number;
  readonly bytes?: number;
}

async function build(
  program: Command,
  asked: Asked,
  { verbose = false, json = false }: Pick<BuildOptions, 'verbose' | 'json'>,
  given?: SourceOpener,
): Promise<BuildResult & { steps: readonly StepReport[] }> {
  const { run } = await import('../host/run.ts');
  const { filter } = await import('../host/filter.ts');
  const { stopSignal } = await import('../host/stop-signal.ts');
  const { buildImage } = await import('../imaging/build.ts');
  const { sourceOpener } = await import('../imaging/import/source.ts');
  const openSource = given ?? sourceOpener(run, filter, join(asked.cacheFolder, 'hashes'));
  const view = await openProgressView({ verbose, json });
  const post = postToService(program, asked.name);
  const steps: StepReport[] = [];
  const progress = (event: BuildProgress): void => {
    view.show(event);
    post.show(event);
    if (event.kind === 'cached') steps.push({ step: event.step, cached: true, bytes: event.bytes });
    if (event.kind !== 'finished') return;
    const { step, seconds, bytes } = event;
    steps.push({ step, cached: false, seconds, ...(bytes === undefined ? {} : { bytes }) });
  };
  try {
    const result = await buildImage({ ...asked, run, openSource, progress, signal: stopSignal() });
    await Promise.all([view.end('done'), post.end()]);
    return { ...result, steps };
  } catch (error) {
    post.fail(error);
    await Promise.all([view.end('failed'), post.end()]);
    throw error;
  }
}
