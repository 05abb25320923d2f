import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Identities } from '../../src/fleet/identities.ts';
import type { HostKey } from '../../src/model/report.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const SERIAL = parseSerial('9ffefdef');

/** A node in a store, and a maker of keys that finishes when it is told. */
async function scene() {
  const store = new MemoryStore();
  const put = (name: string) =>
    store.transact({ writes: [{ kind: 'put', key: `node/${SERIAL}`, value: { name } }] });
  await put('first');
  const making: Array<(key: HostKey) => void> = [];
  const identities = new Identities(store, () => new Promise((resolve) => making.push(resolve)));
  const finish = (nth: number) => making[nth]?.({ privateKey: `private ${nth}`, publicKey: `public ${nth}` });
  return { store, put, making, identities, finish };
}

test('who asks while a key is made gets that one', async () => {
  const { identities, making, finish } = await scene();
  const asked = [identities.hostKey(SERIAL), identities.hostKey(SERIAL)];
  assert.equal(identities.publicKey(SERIAL), undefined);
  finish(0);
  const keys = await Promise.all([...asked, identities.hostKey(SERIAL)]);
  assert.deepEqual(new Set(keys.map(({ publicKey }) => publicKey)), new Set(['public 0']));
  assert.equal(making.length, 1);
  assert.equal(identities.publicKey(SERIAL), 'public 0');
});

test('a node that changes while its key is made gets it all the same', async () => {
  const { identities, put, finish } = await scene();
  const asked = identities.hostKey(SERIAL);
  finish(0);
  await put('renamed');
  assert.equal((await asked).publicKey, 'public 0');
  assert.equal(identities.publicKey(SERIAL), 'public 0');
});

test('a node that is removed while its key is made leaves none to the next of that serial number', async () => {
  const { identities, store, put, finish } = await scene();
  const asked = identities.hostKey(SERIAL);
  const refused = assert.rejects(asked, { name: 'Refusal', message: /^There is no node 9ffefdef any more/ });
  await store.transact({
    writes: [{ kind: 'delete', key: `node/${SERIAL}` }, ...identities.removal(SERIAL)],
  });
  finish(0);
  await refused;
  await put('second');
  assert.equal(identities.publicKey(SERIAL), undefined);
  const again = identities.hostKey(SERIAL);
  finish(1);
  assert.equal((await again).publicKey, 'public 1');
});
