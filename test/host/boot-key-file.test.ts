import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { BootKeyFile } from '../../src/host/boot-key-file.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'netboot-key-'));
});
after(() => rm(folder, { recursive: true }));

test('the key is its owner’s alone, and is refused when it is not', async () => {
  const file = path.join(folder, 'other/boot.pem');
  const keys = new BootKeyFile(file);
  assert.equal(await keys.current(), undefined);
  const { key: made, outcome } = await keys.make(false);
  assert.equal(outcome, 'made');
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal((await stat(path.dirname(file))).mode & 0o777, 0o700);
  assert.match(made.publicKey, /^-----BEGIN PUBLIC KEY-----\n/);
  const again = await keys.make(false);
  assert.deepEqual([again.outcome, again.key.fingerprint], ['present', made.fingerprint]);

  await chmod(file, 0o640);
  const tooOpen = /boot\.pem" is not its owner's alone \(mode 640\)\. Run: chmod 600 .*boot\.pem/;
  await assert.rejects(keys.current(), tooOpen);
  await assert.rejects(keys.make(false), tooOpen);
  await chmod(file, 0o600);
  assert.equal((await keys.current())?.fingerprint, made.fingerprint);

  const replaced = await keys.make(true);
  assert.equal(replaced.outcome, 'replaced');
  assert.notEqual(replaced.key.fingerprint, made.fingerprint);
  const old = new BootKeyFile(`${file}.old`);
  assert.equal((await old.current())?.fingerprint, made.fingerprint);

  await writeFile(file, 'no key');
  await assert.rejects(keys.current(), /boot\.pem" is damaged/);
  assert.equal((await keys.make(true)).outcome, 'replaced');
});

test('two who make the key at once have the same', async () => {
  const keys = new BootKeyFile(path.join(folder, 'twice/boot.pem'));
  const [one, two] = await Promise.all([keys.make(false), keys.make(false)]);
  assert.deepEqual([one.outcome, two.outcome], ['made', 'present']);
  assert.equal(one.key.fingerprint, two.key.fingerprint);
});
