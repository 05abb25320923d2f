import { join } from 'node:path';
import type { Command } from 'commander';
import type { BuildProgress } from '../imaging/build.ts';
import { callApi } from './client.ts';
import { loadConfig } from './config-file.ts';
import { formatBytes } from './table.ts';

interface BuildOptions {
  force?: boolean;
  verbose?: boolean;
  dryRun?: boolean;
}

export function addImageCommands(program: Command): void {
  program
    .command('build-image <name>')
    .description('build an image from its recipe, seal it, and have nodes boot it from now on (needs root)')
    .option('--force', 'build although nothing of the recipe changed, to take newer packages')
    .option('--verbose', 'show all that the build prints')
    .option('--dry-run', 'only print what it would do')
    .action(async (name: string, { force, verbose, dryRun }: BuildOptions) => {
      const { paths } = await loadConfig(program);
      if (dryRun) {
        const { printBuildPlan } = await import('../imaging/build.ts');
        console.log(await printBuildPlan(paths.images, name));
        return;
      }
      await callApi(program, 'GET', '/v1/status'); // before minutes of work, not after: it has to publish the result
      const { run } = await import('../host/run.ts');
      const { stopSignal } = await import('../host/stop-signal.ts');
      const { buildImage } = await import('../imaging/build.ts');
      const { generation, outcome } = await buildImage({
        name,
        recipesFolder: paths.images,
        generationsFolder: paths.generations,
        workFolder: join(paths.generations, '.work'),
        run,
        progress: showProgress(verbose === true),
        signal: stopSignal(),
        ...(force ? { force } : {}),
      });
      if (outcome === 'unchanged') console.log(`nothing to do: ${generation.id} is what the recipe makes`);
      await callApi(program, 'POST', `/v1/images/${name}/publish`, { generation: generation.id });
      const { bootTreeBytes } = await import('../model/generation.ts');
      const sizes = `root ${formatBytes(generation.root.size)}, boot tree ${formatBytes(bootTreeBytes(generation))}`;
      console.log(`published ${generation.id} (${sizes}): nodes that boot from now on run it`);
    });
}

/** Steps with their times; on a terminal the newest line of output below, replaced as it moves on. */
function showProgress(verbose: boolean): (progress: BuildProgress) => void {
  const isLive = process.stdout.isTTY && !verbose;
  const clear = isLive ? '\r\x1b[K' : '';
  return (progress) => {
    if (progress.kind === 'line') {
      if (verbose) console.log(`    ${progress.line}`);
      else if (isLive)
        process.stdout.write(`${clear}    ${progress.line.slice(0, (process.stdout.columns ?? 80) - 5)}`);
      return;
    }
    const place = `${clear}[${progress.index + 1}/${progress.of}] ${progress.step}`;
    if (progress.kind === 'started') console.log(place);
    else console.log(`${place}: ${progress.seconds.toFixed(1)} s`);
  };
}
