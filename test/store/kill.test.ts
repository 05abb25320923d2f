import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from '../../src/model/command.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';

const ROUNDS = 6;
const KEYS = 64;
const LOG_PAGES = 200;
/** Where the header of SQLite's log has how often the log was begun anew (its file format, section 4.1). */
const BEGUN_ANEW = 12;

describe('a store whose process is killed while it moves its log', { timeout: 60_000 }, () => {
  let folder: string;
  let file: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'netboot-store-kill-'));
    file = join(folder, 'state.db');
  });
  after(() => rmSync(folder, { recursive: true }));

  /** @returns by key, the last round that the killed process noted as durable. */
  async function writeAndKill(): Promise<Map<string, number>> {
    const notes = join(folder, 'notes');
    const program = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'writer.ts')];
    const args = [...program, file, notes, String(KEYS), String(LOG_PAGES)];
    const child = spawn(process.execPath, args, { stdio: 'inherit' });
    const closed = once(child, 'close');
    try {
      await until(() => existsSync(notes) && statSync(notes).size > 0);
      assert.throws(
        () => new SqliteStore(file),
        (error: unknown) => error instanceof Refusal && /Another netboot service holds/.test(error.message),
      );
      await until(() => readFileSync(`${file}-wal`).readUInt32BE(BEGUN_ANEW) > 0);
      await sleep(randomInt(600));
    } finally {
      child.kill('SIGKILL');
      await closed;
    }
    const lines = readFileSync(notes, 'utf8').trimEnd().split('\n');
    rmSync(notes);
    return new Map(lines.map((line) => line.split(' ')).map(([key = '', round]) => [key, Number(round)]));
  }

  it(`has all that was acknowledged, ${ROUNDS} times over, and refuses a second service until then`, async (t) => {
    let written = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const acknowledged = await writeAndKill();
      written += [...acknowledged.values()].reduce((sum, count) => sum + count, 0);
      assert.equal(acknowledged.size, KEYS);

      const store = new SqliteStore(file);
      for (const [key, last] of acknowledged) {
        const found = (store.get(`lease/${key}`)?.value as { round: number } | undefined)?.round;
        assert.ok(
          found === last || found === last + 1,
          `${key}: ${last} was acknowledged, ${found} is there`,
        );
      }
      await store.transact({ writes: store.list('lease/').map(({ key }) => ({ kind: 'delete', key })) });
      store.close();
      const db = new DatabaseSync(file);
      assert.deepEqual({ ...db.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
      db.close();
    }
    t.diagnostic(`${written} writes were acknowledged`);
  });
});

async function until(isSo: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; !isSo(); await sleep(20)) assert.ok(Date.now() < end, 'in 20 s');
}
