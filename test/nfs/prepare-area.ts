/** The process that the tests kill while it makes a disk: an export and its folder, one JSON line. */
import { createInterface } from 'node:readline';
import { prepareExport } from '../../src/nfs/prepare.ts';

process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin })) {
  const { entry, exportsFolder } = JSON.parse(line);
  await prepareExport(entry, { exportsFolder, generationsFolder: '/nowhere' });
  process.stdout.write('done\n');
}
