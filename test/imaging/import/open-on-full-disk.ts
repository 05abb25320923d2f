import { readdirSync } from 'node:fs';
import { filter } from '../../../src/host/filter.ts';
import { run } from '../../../src/host/run.ts';
import { hashMemory } from '../../../src/imaging/import/remembered-hash.ts';
import { openImage } from '../../../src/imaging/import/source.ts';

/** A program: `open-on-full-disk.ts IMAGE FOLDER` says how unpacking into a folder that is too small ended. */
const [image = '', workFolder = ''] = process.argv.slice(2);
try {
  await openImage(image, undefined, { run, filter, hashes: hashMemory(workFolder) }, { workFolder });
} catch (error) {
  console.log(String(error));
}
console.log(`left: ${readdirSync(workFolder)}`);
