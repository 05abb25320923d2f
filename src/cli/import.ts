import type { Command } from 'commander';
import { Refusal } from '../model/command.ts';
import { buildAndPublish, orderOf } from './build-image.ts';
import { ByteMeter } from './byte-meter.ts';
import { callApi } from './client.ts';
import { loadConfig } from './config-file.ts';

interface ImportOptions {
  name?: string;
  sha256?: string;
  verbose?: boolean;
  json?: boolean;
}

export function addImportCommand(program: Command): void {
  program
    .command('import-image <file>')
    .description(
      'make an image of Raspberry Pi OS as it comes for a card (.img, .img.xz, .img.zst, .img.gz), and build it (needs root)',
    )
    .option('--name <image>', "its name (default: made of the file's name)")
    .option('--sha256 <sum>', 'what the file must be (default: what <file>.sha256 beside it says)')
    .option('--verbose', 'show all that the build prints')
    .option('--json', 'for scripts')
    .action(async (file: string, options: ImportOptions) => {
      const config = await loadConfig(program);
      if (process.geteuid?.() !== 0) throw new Refusal('Only root can import an image', 'Run it with sudo');
      await callApi(program, 'GET', '/v1/status'); // before minutes of work, not after: it has to publish the result
      const { run } = await import('../host/run.ts');
      const { filter } = await import('../host/filter.ts');
      const { stopSignal } = await import('../host/stop-signal.ts');
      const { importImage } = await import('../imaging/import/import-image.ts');
      const tell = (line: string): void => (options.json ? console.error(line) : console.log(line));
      const meter = openMeter(tell);
      await using imported = await importImage({
        file,
        recipesFolder: config.paths.images,
        cacheFolder: config.paths.cache,
        run,
        filter,
        onProgress: meter.show,
        signal: stopSignal(),
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.sha256 === undefined ? {} : { sha256: options.sha256 }),
      }).finally(meter.end);
      const { name, recipe, outcome, remarks, openSource } = imported;
      tell(outcome === 'written' ? `wrote ${recipe}` : `${recipe} is of this file already`);
      for (const remark of remarks) tell(remark);
      const asked = await orderOf(config, name, { cache: true });
      await buildAndPublish(program, asked, options, openSource);
    });
}

/** On a terminal a line that moves; elsewhere one every ten seconds. */
function openMeter(tell: (line: string) => void) {
  const meter = new ByteMeter();
  const isLive = process.stdout.isTTY === true;
  let told = performance.now();
  let last = '';
  return {
    show: ({ done, total }: { readonly done: number; readonly total: number }): void => {
      const now = performance.now();
      last = `reading the image: ${meter.show(now, done, total)}`;
      if (isLive) process.stdout.write(`\r\x1b[K${last}`);
      else if (now - told > 10_000 && done < total) {
        told = now;
        tell(last);
      }
    },
    end: (): void => {
      if (isLive) process.stdout.write('\r\x1b[K');
      if (last !== '') tell(last);
    },
  };
}
