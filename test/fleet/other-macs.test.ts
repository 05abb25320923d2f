import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { parseConfig } from '../../src/config.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import type { Transaction } from '../../src/fleet/store.ts';
import { type Log, silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { type Mac, macFromBytes } from '../../src/net/mac.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const CONFIG = parseConfig('interfaces: { eth0: { dhcp: proxy } }\n', 'f');
const PRESENT = [{ interface: 'eth0', address: '192.168.172.17' as Ipv4, prefix: 24, mtu: 1500 }];
const SERIAL = parseSerial('9ffefdef');

async function open(log: Log, store = new MemoryStore()): Promise<Fleet> {
  return Fleet.open(
    {
      store,
      exporter: { kind: 'none', apply: async () => {}, state: () => ({ exports: [] }), stop: async () => {} },
      readGenerations: async () => ({ generations: [], problems: [] }),
      recipeNames: async () => ['web'],
      log,
    },
    CONFIG,
    resolveNetworks(CONFIG.interfaces, PRESENT),
  );
}

/** Sightings of one serial under that many MACs. */
function seeMany(fleet: Fleet, count: number): void {
  for (let number = 0; number < count; number++) {
    const mac = macFromBytes(Uint8Array.of(2, 0, 0, 0, number >> 8, number & 0xff));
    fleet.see({ mac, serial: SERIAL, interface: 'eth0', at: number, machine: 'Pi 4' });
  }
}

class CountingStore extends MemoryStore {
  transactions = 0;
  isBroken = false;

  override async transact(transaction: Transaction): Promise<number> {
    this.transactions++;
    if (this.isBroken) throw new Error('disk full');
    return super.transact(transaction);
  }
}

test('a machine that claims a serial under thousands of MACs is warned of once, not thousands of times', async () => {
  const warnings: object[] = [];
  const fleet = await open({ ...silentLog, warn: (fields: object) => warnings.push(fields) });
  await fleet.addNode({ serial: SERIAL, mac: 'dc:a6:32:01:36:c2' as Mac });
  seeMany(fleet, 3_000);
  assert.ok(warnings.length >= 1 && warnings.length <= 5, `${warnings.length} lines`);
});

test('the MAC of a node that had none is the first that is seen, whoever comes while it is being stored', async () => {
  const store = new CountingStore();
  const fleet = await open(silentLog, store);
  await fleet.addNode({ serial: SERIAL });
  const before = store.transactions;
  seeMany(fleet, 3_000);
  await fleet.setNode(SERIAL, { name: 'web1' }); // in turn: behind all that was waiting
  assert.equal(fleet.find('web1').mac, '02:00:00:00:00:00');
  assert.equal(store.transactions, before + 2);
});

test('a MAC that a person gives meanwhile stays', async () => {
  const fleet = await open(silentLog);
  await fleet.addNode({ serial: SERIAL });
  const given = fleet.setNode(SERIAL, { mac: 'dc:a6:32:01:36:c2' as Mac });
  seeMany(fleet, 1);
  await given;
  await fleet.setNode(SERIAL, { name: 'web1' });
  assert.equal(fleet.find('web1').mac, 'dc:a6:32:01:36:c2');
});

test('a MAC that cannot be stored is told once a second at most, and learnt when the disk is well again', async () => {
  const errors: object[] = [];
  const store = new CountingStore();
  const fleet = await open({ ...silentLog, error: (fields: object) => errors.push(fields) }, store);
  await fleet.addNode({ serial: SERIAL });
  store.isBroken = true;
  for (let round = 0; round < 50; round++) {
    seeMany(fleet, 1);
    await setImmediate();
  }
  assert.ok(errors.length >= 1 && errors.length <= 3, `${errors.length} lines`);
  store.isBroken = false;
  seeMany(fleet, 1);
  await setImmediate();
  assert.equal(fleet.find(SERIAL).mac, '02:00:00:00:00:00');
});
