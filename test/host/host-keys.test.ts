import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostKeyMaker } from '../../src/host/host-keys.ts';
import { run } from '../../src/host/run.ts';
import { CommandError } from '../../src/model/command.ts';

test('makes keys that OpenSSH reads, and leaves nothing behind, not even what a kill left', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'netboot-keys-'));
  context.after(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'host-key-abcdef'));
  await writeFile(join(folder, 'host-key-abcdef/key'), 'of a killed service');
  await writeFile(join(folder, 'state.db'), 'somebody else');
  const make = hostKeyMaker(run, folder);
  const [one, two] = await Promise.all([make('9ffefdef'), make('b66c4c16')]);
  assert.notEqual(one.privateKey, two.privateKey);
  assert.match(one.publicKey, /^ssh-ed25519 \S+ 9ffefdef$/);
  assert.deepEqual(await readdir(folder), ['state.db']);
  await writeFile(join(folder, 'key'), one.privateKey, { mode: 0o600 });
  const half = await run('ssh-keygen', ['-y', '-P', '', '-f', join(folder, 'key')]);
  assert.deepEqual(half.split(' ').slice(0, 2), one.publicKey.split(' ').slice(0, 2));
});

test('a program that fails says so without a key in it, and is tried again the next time', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'netboot-keys-'));
  context.after(() => rm(folder, { recursive: true }));
  let fails = true;
  const make = hostKeyMaker(
    (program, args, options) => run(fails ? 'false' : program, args, options),
    folder,
  );
  await assert.rejects(make('9ffefdef'), CommandError);
  assert.deepEqual(await readdir(folder), []);
  fails = false;
  assert.match((await make('9ffefdef')).privateKey, /^-----BEGIN OPENSSH PRIVATE KEY-----/);
});
