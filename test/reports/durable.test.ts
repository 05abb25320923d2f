import assert from 'node:assert/strict';
import { copyFile, mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { SqliteStore } from '../../src/store/sqlite-store.ts';
import { HOME, SERIAL, World } from './world.ts';

const openStore = (folder: string) => new SqliteStore(join(folder, 'state.db'));

test('what was given away is on the disk before it is answered, for its owner alone', async () => {
  await using world = await World.make({ openStore });
  const client = await world.booted(SERIAL, HOME);
  // As a kill of the service in this moment leaves it.
  const copy = join(world.folder, 'copy');
  await mkdir(copy);
  const files = (await readdir(world.folder)).filter((name) => name.startsWith('state.db'));
  assert.ok(files.includes('state.db-wal'));
  for (const name of files) {
    assert.equal((await stat(join(world.folder, name))).mode & 0o777, 0o600, name);
    await copyFile(join(world.folder, name), join(copy, name));
  }
  const found = openStore(copy);
  const kept = found.get(`report-key/${SERIAL}`)?.value;
  assert.equal((kept as { key: string } | undefined)?.key, client.key);
  assert.ok(found.get(`identity/${SERIAL}`));
  assert.ok(found.get('secret/boot-token'));
  found.close();
});

test('after a kill a token stays redeemed, and the answer can be had again', async () => {
  await using world = await World.make({ openStore });
  const token = world.token(SERIAL, HOME);
  const client = await world.booted(SERIAL, HOME);
  const { key } = client;
  await world.restart();
  assert.equal(world.token(SERIAL, HOME), token, 'the command line is the same');
  assert.equal((await client.raw(client.recorded)).status, 200, 'the same nonce');
  assert.equal((await client.redeem(token)).status, 403, 'another nonce');
  assert.equal(client.key, key);
});
