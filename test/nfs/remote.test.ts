import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Log, silentLog } from '../../src/model/log.ts';
import { runExportsAgent } from '../../src/nfs/exports-agent.ts';
import { requestFile } from '../../src/nfs/exports-job.ts';
import { openRemote } from '../../src/nfs/remote.ts';
import { RecordingExporter, someExport } from './recording-exporter.ts';

const [web, db] = [someExport('web'), someExport('db')];

/** Both sides of the exports job: `remote` asks and `exporter` is asked, unless nobody answers. */
function open(t: TestContext, { patienceMs = 5000, isAnswered = true } = {}) {
  const folder = mkdtempSync(`${tmpdir()}/netboot-remote-`);
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (_, message) => errors.push(message) };
  const answerFile = `${folder}/applied.json`;
  const exporter = new RecordingExporter();
  const remote = openRemote({ stateFolder: folder, log, answerFile, patienceMs });
  const stop = new AbortController();
  const files = { requestFile: requestFile(folder), answerFile };
  const ended = isAnswered
    ? runExportsAgent({ exporter, ...files, log: silentLog, signal: stop.signal })
    : undefined;
  const stopAnswering = async () => {
    stop.abort();
    await ended;
  };
  t.after(async () => {
    await remote.stop();
    await stopAnswering();
    rmSync(folder, { recursive: true });
  });
  return { remote, exporter, errors, stopAnswering };
}

test('calls are worked off one after the other, none is lost', async (t) => {
  const { remote, exporter, errors } = open(t);
  await Promise.all([remote.apply([web]), remote.apply([web, db]), remote.apply([db])]);
  assert.deepEqual(exporter.calls, [[web.path], [web.path, db.path], [db.path]]);
  assert.deepEqual(remote.state(), { exports: [db] });
  assert.deepEqual(errors, []);
});

test('what came of a call is still known while the next one is on its way', async (t) => {
  const { remote } = open(t);
  const first = remote.apply([web]).then(() => remote.state());
  const second = remote.apply([web, db]);
  assert.deepEqual(await first, { exports: [web] });
  await sleep(100);
  assert.deepEqual(remote.state(), { exports: [web] }, 'it serves what it served');
  await second;
  assert.deepEqual(remote.state(), { exports: [web, db] });
});

test('a failure on the other side is the problem of every export', async (t) => {
  const { remote, exporter } = open(t);
  exporter.failures = 1;
  await remote.apply([web, db]);
  assert.deepEqual(
    remote.state().exports.map(({ path, problem }) => [path, problem]),
    [
      [web.path, 'the port is taken'],
      [db.path, 'the port is taken'],
    ],
  );
});

test('when nobody answers it says so, and does not wait for ever', async (t) => {
  const { remote, errors } = open(t, { patienceMs: 100, isAnswered: false });
  await remote.apply([web]);
  assert.match(remote.state().exports[0]?.problem ?? '', /systemctl status netboot-exports/);
  assert.equal(errors.length, 1);
});

test('it waits for no answer any more when it is stopped', async (t) => {
  const { remote, errors } = open(t, { isAnswered: false });
  const startedAt = performance.now();
  const asked = remote.apply([web]);
  await sleep(100);
  await remote.stop();
  await asked;
  assert.ok(performance.now() - startedAt < 2500);
  assert.deepEqual(errors, []);
});

test('of a call that is not answered it does not say what came of the last one', async (t) => {
  const { remote, stopAnswering } = open(t, { patienceMs: 1000 });
  await remote.apply([web]);
  assert.equal(remote.state().exports[0]?.problem, undefined);
  await stopAnswering();
  await remote.apply([web, db]);
  assert.equal(
    remote.state().exports.filter(({ problem }) => problem?.includes('does not answer')).length,
    2,
  );
});
