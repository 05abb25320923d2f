import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
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
  t.after(async () => {
    await remote.stop();
    stop.abort();
    await ended;
    rmSync(folder, { recursive: true });
  });
  return { remote, exporter, errors };
}

test('calls are worked off one after the other, none is lost', async (t) => {
  const { remote, exporter, errors } = open(t);
  await Promise.all([remote.apply([web]), remote.apply([web, db]), remote.apply([db])]);
  assert.deepEqual(exporter.calls, [[web.path], [web.path, db.path], [db.path]]);
  assert.deepEqual(remote.state(), { exports: [db] });
  assert.deepEqual(errors, []);
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
