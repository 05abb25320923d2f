/**
 * The process the tests kill: opens an exporter and applies every list of exports it reads, one JSON line each, and
 * answers with the state, one JSON line each. Arguments: kind, exports folder, generations folder, state folder.
 */
import { createInterface } from 'node:readline';
import { run } from '../../src/host/run.ts';
import { silentLog } from '../../src/model/log.ts';
import { openExporter } from '../../src/nfs/exporter.ts';

const [kind, exportsFolder = '', generationsFolder = '', stateFolder = ''] = process.argv.slice(2);
const speak = (level: string) => (fields: object, message: string) =>
  process.stderr.write(`${level} ${message} ${JSON.stringify(fields)}\n`);
const log = { ...silentLog, info: speak('info'), warn: speak('warn'), error: speak('error') };
if (process.env.NFS_DEBUG) log.debug = speak('debug');

const exporter = await openExporter({
  kind: kind as 'ganesha',
  run,
  log,
  exportsFolder,
  generationsFolder,
  stateFolder,
});
for await (const line of createInterface({ input: process.stdin })) {
  const problem =
    line === '' ? undefined : await exporter.apply(JSON.parse(line)).then(() => undefined, String);
  process.stdout.write(`${JSON.stringify({ kind: exporter.kind, ...exporter.state(), problem })}\n`);
}
await exporter.stop();
