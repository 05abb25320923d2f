import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../src/config.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { type Mac, macFromBytes } from '../../src/net/mac.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const CONFIG = parseConfig('interfaces: { eth0: { dhcp: proxy } }\n', 'f');
const PRESENT = [{ interface: 'eth0', address: '192.168.172.17' as Ipv4, prefix: 24, mtu: 1500 }];
const SERIAL = parseSerial('9ffefdef');

test('a machine that claims a serial under thousands of MACs is warned of once, not thousands of times', async () => {
  const warnings: object[] = [];
  const log = { ...silentLog, warn: (fields: object) => warnings.push(fields) };
  const fleet = await Fleet.open(
    {
      store: new MemoryStore(),
      exporter: { kind: 'none', apply: async () => {}, state: () => ({ exports: [] }), stop: async () => {} },
      readGenerations: async () => ({ generations: [], problems: [] }),
      recipeNames: async () => ['web'],
      log,
    },
    CONFIG,
    resolveNetworks(CONFIG.interfaces, PRESENT),
  );
  await fleet.addNode({ serial: SERIAL, mac: 'dc:a6:32:01:36:c2' as Mac });
  for (let number = 0; number < 3_000; number++) {
    const mac = macFromBytes(Uint8Array.of(2, 0, 0, 0, number >> 8, number & 0xff));
    fleet.see({ mac, serial: SERIAL, interface: 'eth0', at: number, machine: 'Pi 4' });
  }
  assert.ok(warnings.length >= 1 && warnings.length <= 5, `${warnings.length} lines`);
});
