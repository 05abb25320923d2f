import { openSync, writeSync } from 'node:fs';
import { SqliteStore } from '../../src/store/sqlite-store.ts';

/**
 * A program that writes documents to a store, round after round, until it is killed, and notes in a file what is durable.
 * With a log as short as the test has it, that one is being moved nearly all the time.
 */
const [file = '', notesFile = '', keys = '', logPages = ''] = process.argv.slice(2);
const notes = openSync(notesFile, 'w');
const store = new SqliteStore(file, { logPages: Number(logPages) });

async function writeRounds(key: number): Promise<never> {
  for (let round = 1; ; round++) {
    const value = { round, filler: 'x'.repeat(200) };
    await store.transact({ writes: [{ kind: 'put', key: `lease/${key}`, value }] });
    writeSync(notes, `${key} ${round}\n`);
  }
}

await Promise.all(Array.from({ length: Number(keys) }, (_, key) => writeRounds(key)));
