import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import { type Log, silentLog } from '../../src/model/log.ts';
import { runExportsAgent } from '../../src/nfs/exports-agent.ts';
import { until } from './nfs-rack.ts';
import { RecordingExporter, someExport } from './recording-exporter.ts';

const web = someExport('web');

/** An agent between two files of a folder of its own. */
function startAgent(t: TestContext, exporter: RecordingExporter, firstRetryMs: number) {
  const folder = mkdtempSync(`${tmpdir()}/netboot-agent-`);
  const [requestFile, answerFile] = [`${folder}/request.json`, `${folder}/answer.json`];
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (_, message) => errors.push(message) };
  const stop = new AbortController();
  const ended = runExportsAgent({
    exporter,
    requestFile,
    answerFile,
    log,
    signal: stop.signal,
    firstRetryMs,
  });
  t.after(async () => {
    stop.abort();
    await ended;
    rmSync(folder, { recursive: true });
  });
  const answer = () => {
    try {
      return JSON.parse(readFileSync(answerFile, 'utf8'));
    } catch {
      return {};
    }
  };
  return { errors, answer, ask: (text: string) => writeFileSync(requestFile, text) };
}

test('a request is applied once, and answered by its id', async (t) => {
  const exporter = new RecordingExporter();
  const { ask, answer } = startAgent(t, exporter, 1);
  ask(JSON.stringify({ id: 'one', exports: [web] }));
  await until('it is answered', () => answer().id === 'one');
  assert.deepEqual(answer(), { id: 'one', exports: [web] });
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal(exporter.calls.length, 1);
});

test('what failed is tried again until it is served, and the failure forgotten then', async (t) => {
  const exporter = new RecordingExporter();
  exporter.failures = 2;
  const { errors, ask, answer } = startAgent(t, exporter, 200);
  ask(JSON.stringify({ id: 'one', exports: [web] }));
  await until('the failure is told', () => answer().failure === 'the port is taken');
  await until('it is served', () => answer().exports?.length === 1);
  assert.deepEqual(answer(), { id: 'one', exports: [web] });
  assert.deepEqual(exporter.calls, [[web.path], [web.path], [web.path]]);
  assert.deepEqual(errors, ['the port is taken', 'the port is taken']);
});

test('it waits before it tries again; a new request does not', async (t) => {
  const exporter = new RecordingExporter();
  exporter.failures = 1;
  const { ask, answer } = startAgent(t, exporter, 60_000);
  ask(JSON.stringify({ id: 'one', exports: [web] }));
  await until('the failure is told', () => answer().failure !== undefined);
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal(exporter.calls.length, 1);
  ask(JSON.stringify({ id: 'two', exports: [] }));
  await until('the new one is served', () => answer().id === 'two' && answer().failure === undefined);
});

test('what is no request is told once and never applied', async (t) => {
  const exporter = new RecordingExporter();
  const { errors, ask, answer } = startAgent(t, exporter, 1);
  ask('root:x:0:0');
  await until('the failure is told', () => answer().failure === 'the request is not JSON');
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.deepEqual(exporter.calls, []);
  assert.equal(errors.length, 1);
});
