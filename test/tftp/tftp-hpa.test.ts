import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { createOpenBootFile } from '../../src/boot/open.ts';
import { silentLog } from '../../src/model/log.ts';
import { sampleView } from '../boot/sample-view.ts';
import { fetchFile, type Loopback, serveLoopback } from './loopback.ts';

/** The client of Debian's tftp-hpa, real files and the real boot room behind the server. */
const options = existsSync('/usr/bin/tftp') ? {} : { skip: 'no tftp client: apt install tftp-hpa' };
const sizes = { empty: 0, small: 100, block: 512, blocks: 512 * 40, image: 1_000_001 };
let folder: string;
let loopback: Loopback;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'netboot-tftp-'));
  for (const [name, size] of Object.entries(sizes))
    await writeFile(path.join(folder, name), randomBytes(size));
  await writeFile(path.join(folder, 'kernel'), randomBytes(20_000_000));
  const view = sampleView([], []);
  const openFile = createOpenBootFile({
    view: () => view,
    macOf: () => undefined,
    plainRoot: folder,
    log: silentLog,
  });
  loopback = await serveLoopback(openFile);
});

after(async () => {
  await loopback.server.stop();
  await rm(folder, { recursive: true });
});

async function tftp(...command: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(
    'tftp',
    ['-m', 'binary', '127.0.0.1', String(loopback.port), '-c', ...command],
    { cwd: folder, timeout: 20_000 },
  );
  return stdout;
}

for (const name of Object.keys(sizes)) {
  test(`tftp-hpa fetches ${name}, bit for bit`, options, async () => {
    await tftp('get', name, `${name}.fetched`);
    assert.ok(
      (await readFile(path.join(folder, `${name}.fetched`))).equals(await readFile(path.join(folder, name))),
    );
  });
}

test('tftp-hpa is told about a miss', options, async () => {
  assert.match(await tftp('get', 'nothing', 'nothing.fetched'), /Error code 1: no file nothing/);
});

test('tftp-hpa cannot write', options, async () => {
  assert.match(await tftp('put', 'small', 'stolen'), /Error code 2: .*read-only/);
  await assert.rejects(stat(path.join(folder, 'stolen')));
});

test('20 MB from the disk in blocks of 1468 bytes, in far less than the 30 s a Pi waits (checklist 46)', async () => {
  const started = performance.now();
  const fetched = await fetchFile(loopback.port, 'kernel');
  const seconds = (performance.now() - started) / 1000;
  assert.ok(fetched.equals(await readFile(path.join(folder, 'kernel'))));
  assert.ok(seconds < 15, `${seconds} s`);
});
