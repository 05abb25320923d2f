import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Write } from '../../src/fleet/store.ts';

type Callback = (error: NodeJS.ErrnoException | null) => void;

/** What becomes of a flush: called with what carries it out. */
let onFlush: (file: number, done: Callback) => void;

const { fdatasync } = fs;
const patched = (file: number, done: Callback) => onFlush(file, done);
fs.fdatasync = Object.assign(patched, { __promisify__: fdatasync.__promisify__ });
syncBuiltinESMExports();
const { SqliteStore } = await import('../../src/store/sqlite-store.ts');

const PAGE = 4096;
const FILES = ['state.db', 'state.db-wal'] as const;

/**
 * The disk below the page cache: it has of the log what was flushed, and nothing of what a flush failed to write, which the
 * kernel takes for clean then (fsync(2), "NOTES"). The database file is SQLite's own to flush, whenever it writes there.
 */
class Disk {
  readonly #folder: string;
  #log = Buffer.alloc(0);
  /** The log as the page cache had it at the last flush. */
  #cached = Buffer.alloc(0);

  constructor(folder: string) {
    this.#folder = folder;
    this.#cached = this.#log = this.#read();
  }

  flush(isWritten: boolean): void {
    const now = this.#read();
    const log = Buffer.alloc(now.length);
    this.#log.copy(log);
    for (let at = 0; at < now.length; at += PAGE) {
      const page = now.subarray(at, at + PAGE);
      if (isWritten && !page.equals(this.#cached.subarray(at, at + PAGE))) page.copy(log, at);
    }
    this.#log = log;
    this.#cached = now;
  }

  /** The state as it is found after the power was cut now. */
  cut(copy: string): InstanceType<typeof SqliteStore> {
    fs.mkdirSync(copy);
    fs.copyFileSync(join(this.#folder, FILES[0]), join(copy, FILES[0]));
    fs.writeFileSync(join(copy, FILES[1]), this.#log);
    return new SqliteStore(join(copy, FILES[0]));
  }

  #read(): Buffer<ArrayBuffer> {
    return fs.readFileSync(join(this.#folder, FILES[1]));
  }
}

const put = (key: string, value: unknown): Write => ({ kind: 'put', key, value });

function open(t: TestContext) {
  const folder = fs.mkdtempSync(join(tmpdir(), 'netboot-store-'));
  const store = new SqliteStore(join(folder, FILES[0]));
  const disk = new Disk(folder);
  onFlush = (file, done) => {
    disk.flush(true);
    fdatasync(file, done);
  };
  t.after(() => {
    store.close();
    fs.rmSync(folder, { recursive: true });
  });
  let cuts = 0;
  const afterCut = <T>(look: (found: InstanceType<typeof SqliteStore>) => T): T => {
    const found = disk.cut(join(folder, `cut-${cuts++}`));
    const seen = look(found);
    found.close();
    return seen;
  };
  return { store, disk, afterCut };
}

test('a power cut leaves all that was said to be durable', async (t) => {
  const { store, afterCut } = open(t);
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        store.transact({ writes: [put(`lease/${index}`, { round, index })] }),
      ),
    );
    afterCut((found) => {
      assert.equal(found.revision(), store.revision());
      const rounds = found.list('lease/').map(({ value }) => (value as { round: number }).round);
      assert.deepEqual(rounds, new Array(50).fill(round));
    });
  }
});

test('nothing is said to be durable, nor told, before it is flushed', async (t) => {
  const { store } = open(t);
  const held: Array<() => void> = [];
  const flush = onFlush;
  onFlush = (file, done) => held.push(() => flush(file, done));
  const said: string[] = [];
  store.watch('', (writes) => said.push(...writes.map(({ key }) => `told ${key}`)));
  const transact = (key: string) => store.transact({ writes: [put(key, 1)] }).then(() => said.push(key));
  const first = transact('first');
  await sleep(50);
  const second = transact('second'); // waits for the next flush, which waits for this one
  await sleep(50);
  assert.deepEqual([said, held.length], [[], 1]);
  held.shift()?.();
  await first;
  await sleep(50);
  assert.deepEqual([said, held.length], [['told first', 'first'], 1]);
  held.shift()?.();
  await second;
  assert.deepEqual(said, ['told first', 'first', 'told second', 'second']);
});

test('what a flush failed to write is refused, and takes nothing with it that comes later', async (t) => {
  const { store, disk, afterCut } = open(t);
  await store.transact({ writes: [put('before', 1)] });
  const flush = onFlush;
  onFlush = (_, done) => {
    onFlush = flush;
    disk.flush(false);
    done(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
  };
  const large = 'x'.repeat(10 * PAGE); // a hole of whole pages
  await assert.rejects(store.transact({ writes: [put('lost', large)] }), /EIO/);
  assert.equal(
    afterCut((found) => found.get('before')?.value),
    1,
  );
  for (const key of ['next', 'later']) {
    await store.transact({ writes: [put(key, 1)] });
    afterCut((found) => {
      for (const each of ['before', 'next', key])
        assert.equal(found.get(each)?.value, 1, `${each} after ${key}`);
    });
  }
});
