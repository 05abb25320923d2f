import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Log, silentLog } from '../../src/model/log.ts';
import type { Export } from '../../src/nfs/export.ts';
import { retrying } from '../../src/nfs/retrying.ts';
import { until } from './nfs-rack.ts';
import { RecordingExporter, someExport } from './recording-exporter.ts';

const [web, db] = [someExport('web'), someExport('db')];

/** Has no room for these paths. */
class FullExporter extends RecordingExporter {
  readonly noRoomFor = new Set<string>();
  tookMs = 0;
  lack: { readonly problem: string } | { readonly isIncomplete: true } = { problem: 'full' };

  override async apply(desired: readonly Export[]) {
    await super.apply(desired);
    await sleep(this.tookMs);
  }

  override state() {
    const { exports } = super.state();
    return {
      exports: exports.map((each) => (this.noRoomFor.has(each.path) ? { ...each, ...this.lack } : each)),
    };
  }
}

function open(t: TestContext, firstRetryMs: number) {
  const inner = new FullExporter();
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (_, message) => errors.push(message) };
  const exporter = retrying(inner, log, firstRetryMs);
  t.after(() => exporter.stop());
  return { inner, exporter, errors };
}

test('what cannot be served is tried again until it is, ever more rarely', async (t) => {
  const { inner, exporter } = open(t, 50);
  inner.noRoomFor.add(web.path);
  await exporter.apply([web]);
  await sleep(500); // after 50, 150 and 350 ms
  assert.ok(inner.calls.length >= 3 && inner.calls.length <= 4, `${inner.calls.length} times`);
  inner.noRoomFor.clear();
  const { length } = inner.calls;
  await until('it is tried again', () => inner.calls.length > length);
  await sleep(200);
  assert.equal(inner.calls.length, length + 1, 'and then no more');
});

test('what is served without all that it should have is tried again, too', async (t) => {
  const { inner, exporter } = open(t, 50);
  inner.lack = { isIncomplete: true };
  inner.noRoomFor.add(web.path);
  await exporter.apply([web]);
  await until('it is tried again', () => inner.calls.length > 1);
});

test('what takes long to try is tried so much more rarely', async (t) => {
  const { inner, exporter } = open(t, 10);
  inner.noRoomFor.add(web.path);
  inner.tookMs = 50;
  await exporter.apply([web]);
  await until('it is tried again', () => inner.calls.length > 1);
  await sleep(700);
  assert.equal(inner.calls.length, 2);
  await until('and again', () => inner.calls.length > 2);
});

test('what is served is not touched', async (t) => {
  const { inner, exporter } = open(t, 10);
  await exporter.apply([web]);
  await sleep(100);
  assert.equal(inner.calls.length, 1);
});

test('it is always the last list that is tried again, however calls overlap', async (t) => {
  const { inner, exporter } = open(t, 30);
  inner.noRoomFor.add(web.path);
  const lists: Export[][] = [[web], [web, db], [db, web]];
  await Promise.all(lists.map((list) => exporter.apply(list)));
  await until('it is tried again', () => inner.calls.length > 4);
  const again = inner.calls.slice(3).map((paths) => paths.join());
  assert.deepEqual([...new Set(again)], [`${db.path},${web.path}`]);
});

test('a retry that fails is told, and is not the last one', async (t) => {
  const { inner, exporter, errors } = open(t, 20);
  inner.noRoomFor.add(web.path);
  await exporter.apply([web]);
  inner.failures = 1;
  await until('it is tried again', () => inner.calls.length >= 3);
  assert.deepEqual(errors, ['the exports could not be applied']);
});

test('nothing is tried any more when it is stopped', async (t) => {
  const { inner, exporter } = open(t, 20);
  inner.noRoomFor.add(web.path);
  const applying = exporter.apply([web]);
  await exporter.stop();
  await applying;
  await sleep(100);
  assert.equal(inner.calls.length, 1);
});
