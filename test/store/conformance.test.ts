import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { RevisionConflict, type Store, type Write } from '../../src/fleet/store.ts';
import { Refusal } from '../../src/model/command.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';

const put = (key: string, value: unknown): Write => ({ kind: 'put', key, value });

function withFolder(use: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'netboot-store-'));
    try {
      await use(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

const stores: Record<string, (folder: string) => Store> = {
  'the memory store': () => new MemoryStore(),
  'the SQLite store': (folder) => new SqliteStore(join(folder, 'state.db')),
};

for (const [name, open] of Object.entries(stores)) {
  describe(name, () => {
    const check = (title: string, body: (store: Store) => Promise<void>) =>
      it(
        title,
        withFolder(async (folder) => {
          const store = open(folder);
          await body(store);
          store.close();
        }),
      );

    check('gives back what was put, with the revision it was put at', async (store) => {
      const revision = await store.transact({ writes: [put('node/a', { name: 'a' })] });
      assert.deepEqual(store.get('node/a'), { key: 'node/a', value: { name: 'a' }, revision });
      assert.equal(store.get('node/b'), undefined);
    });

    check('lists by prefix in key order and nothing beside it', async (store) => {
      await store.transact({
        writes: [put('node/b', 1), put('node/a', 2), put('nodes', 3), put('lease/x', 4)],
      });
      assert.deepEqual(
        store.list('node/').map((document) => document.key),
        ['node/a', 'node/b'],
      );
    });

    check('refuses a transaction whose condition no longer holds, whole', async (store) => {
      const revision = await store.transact({ writes: [put('k', 1)] });
      await store.transact({ writes: [put('k', 2)] });
      const late = store.transact({
        ifRevisions: [{ key: 'k', revision }],
        writes: [put('k', 3), put('other', 1)],
      });
      await assert.rejects(late, RevisionConflict);
      assert.equal(store.get('k')?.value, 2);
      assert.equal(store.get('other'), undefined);
    });

    check('takes revision 0 as "must not exist"', async (store) => {
      const create = () =>
        store.transact({ ifRevisions: [{ key: 'k', revision: 0 }], writes: [put('k', 1)] });
      await create();
      await assert.rejects(create(), RevisionConflict);
    });

    check('judges transactions issued together one after the other', async (store) => {
      const create = () =>
        store.transact({ ifRevisions: [{ key: 'k', revision: 0 }], writes: [put('k', 1)] });
      const results = await Promise.allSettled([create(), create(), create()]);
      assert.deepEqual(results.map((result) => result.status).sort(), ['fulfilled', 'rejected', 'rejected']);
    });

    check('tells watchers of the prefix what was written, and stops when asked', async (store) => {
      const heard: string[] = [];
      const stop = store.watch('node/', (writes) => heard.push(...writes.map((write) => write.key)));
      await store.transact({ writes: [put('node/a', 1), put('lease/a', 1)] });
      stop();
      await store.transact({ writes: [put('node/b', 1)] });
      assert.deepEqual(heard, ['node/a']);
    });

    check('forgets what was deleted', async (store) => {
      await store.transact({ writes: [put('k', 1)] });
      await store.transact({ writes: [{ kind: 'delete', key: 'k' }] });
      assert.equal(store.get('k'), undefined);
    });
  });
}

describe('the SQLite store on its disk', () => {
  it(
    'has everything again after it was opened anew, and counts revisions on',
    withFolder(async (folder) => {
      const first = new SqliteStore(join(folder, 'state.db'));
      const revision = await first.transact({ writes: [put('k', { deep: [1, 'ü'] })] });
      first.close();
      const second = new SqliteStore(join(folder, 'state.db'));
      assert.deepEqual(second.get('k'), { key: 'k', value: { deep: [1, 'ü'] }, revision });
      assert.equal(await second.transact({ writes: [put('l', 1)] }), revision + 1);
      second.close();
    }),
  );

  it(
    'commits what is pending when it is closed, and has it again',
    withFolder(async (folder) => {
      const store = new SqliteStore(join(folder, 'state.db'));
      const first = store.transact({ writes: [put('first', 1)] });
      await new Promise((resolve) => setImmediate(resolve)); // its group is on the way to the disk
      const second = store.transact({ writes: [put('second', 2)] });
      store.close();
      assert.deepEqual(await Promise.all([first, second]), [1, 2]);
      const again = new SqliteStore(join(folder, 'state.db'));
      assert.equal(again.get('second')?.value, 2);
      again.close();
    }),
  );

  it(
    'refuses a second service on the same state',
    withFolder(async (folder) => {
      const first = new SqliteStore(join(folder, 'state.db'));
      assert.throws(
        () => new SqliteStore(join(folder, 'state.db')),
        (error: unknown) => error instanceof Refusal && /Another netboot service/.test(error.message),
      );
      first.close();
    }),
  );

  it(
    'refuses a folder that is not there, naming it',
    withFolder(async (folder) => {
      assert.throws(() => new SqliteStore(join(folder, 'none', 'state.db')), /none\/state\.db.*paths\.state/);
    }),
  );
});
