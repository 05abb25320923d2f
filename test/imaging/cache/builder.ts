// A build as a process of its own, for tests that kill it: builder.ts IMAGE FOLDER.
import { join } from 'node:path';
import { filter } from '../../../src/host/filter.ts';
import { run } from '../../../src/host/run.ts';
import { stopSignal } from '../../../src/host/stop-signal.ts';
import { buildImage } from '../../../src/imaging/build.ts';
import { sourceOpener } from '../../../src/imaging/import/source.ts';
import { Refusal } from '../../../src/model/command.ts';

const [name = '', top = ''] = process.argv.slice(2);
try {
  const { outcome } = await buildImage({
    name,
    recipesFolder: join(top, 'images'),
    generationsFolder: join(top, 'generations'),
    cacheFolder: join(top, 'cache'),
    run,
    openSource: sourceOpener(run, filter, join(top, 'cache/hashes')),
    progress: (event) => console.log(event.kind === 'started' ? event.step : event.kind),
    signal: stopSignal(),
  });
  console.log(outcome);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
}
