import { tmpdir } from 'node:os';
import { filter } from '../../../src/host/filter.ts';
import { run } from '../../../src/host/run.ts';
import { hashMemory } from '../../../src/imaging/import/remembered-hash.ts';
import { openImage } from '../../../src/imaging/import/source.ts';
import { runStep } from './run-step.ts';

/** A program: `import-card.ts IMAGE ROOT` copies a raw image's system. Made to be killed. */
const [image = '', root = ''] = process.argv.slice(2);
const ports = { run, filter, hashes: hashMemory(`${root}.hashes`) };
await using opened = await openImage(image, undefined, ports, { workFolder: tmpdir() });
await runStep('import', root, opened.environment);
