import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { addNodeSchema } from '../../src/api/node-schemas.ts';
import { parseConfig } from '../../src/config.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import { Refusal } from '../../src/model/command.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const CONFIG = parseConfig('interfaces: { eth0: { dhcp: proxy } }\n', 'f');
const PRESENT = [{ interface: 'eth0', address: '192.168.172.17' as Ipv4, prefix: 24, mtu: 1500 }];
const MAC = '52:54:00:12:34:56' as Mac;

describe('machines that are no Pis', () => {
  let fleet: Fleet;
  const add = (request: object) => fleet.addNode(addNodeSchema.parse(request));

  beforeEach(async () => {
    const exporter = {
      kind: 'none' as const,
      apply: async () => {},
      state: () => ({ exports: [] }),
      stop: async () => {},
    };
    fleet = await Fleet.open(
      {
        store: new MemoryStore(),
        exporter,
        readGenerations: async () => ({ generations: [], problems: [] }),
        recipeNames: async () => ['pc', 'web'],
        recipeArch: async (image) => (image === 'pc' ? 'amd64' : 'arm64'),
        log: silentLog,
      },
      CONFIG,
      resolveNetworks(CONFIG.interfaces, PRESENT),
    );
  });

  it('are added by their MAC, whose end stands for a serial number', async () => {
    const { node } = await add({ mac: MAC, image: 'pc' });
    assert.deepEqual(node, { serial: '00123456', name: 'node-00123456', image: 'pc', mac: MAC });
    for (const reference of ['00123456', 'node-00123456', MAC, '52-54-00-12-34-56']) {
      assert.equal(fleet.find(reference), fleet.view().nodesByMac.get(MAC), reference);
    }
  });

  it('need an image named where several could be meant, a Pi does not when only one is for Pis', async () => {
    await assert.rejects(add({ mac: MAC }), /No image is named\. Give one with --image: pc, web/);
    assert.equal((await add({ serial: '9ffefdef' })).node.image, 'web');
  });

  const clashes: ReadonlyArray<{ name: string; before: object[]; request: object; says: RegExp }> = [
    {
      name: 'the same machine again',
      before: [{ mac: MAC, image: 'pc' }],
      request: { mac: MAC, image: 'pc' },
      says: /^Node 00123456 is there already, as "node-00123456"\. Change it with: netboot set-node 00123456/,
    },
    {
      name: 'another whose MAC ends alike',
      before: [{ mac: MAC, image: 'pc' }],
      request: { mac: '52:55:00:12:34:56', image: 'pc' },
      says: /last eight digits of 52:55:00:12:34:56 name node "node-00123456" \(52:54.* <serial> --mac 52:55:00:12:34:56/,
    },
    {
      name: 'one whose MAC ends as the serial number of a Pi',
      before: [{ serial: '00123456', name: 'one' }],
      request: { mac: MAC, image: 'pc' },
      says: /name node "one" \(a Pi\) already/,
    },
    {
      name: 'the MAC of a Pi, which will tell its serial number',
      before: [],
      request: { mac: 'dc:a6:32:01:36:c2', image: 'web' },
      says: /Raspberry Pi's.*netboot add-node <serial> --mac dc:a6:32:01:36:c2/,
    },
    {
      name: 'a MAC that ends in zeros',
      before: [],
      request: { mac: '52:54:00:00:00:00' },
      says: /does not tell a machine/,
    },
  ];
  for (const { name, before, request, says } of clashes) {
    it(`refuses ${name}, with the remedy`, async () => {
      for (const each of before) await add(each);
      await assert.rejects(
        add(request),
        (error: Error) => error instanceof Refusal && says.test(error.message),
      );
    });
  }

  it('another serial is the way round a clash', async () => {
    await add({ mac: MAC, image: 'pc' });
    const { node } = await add({ serial: 'a0123456', mac: '52:55:00:12:34:56', image: 'pc' });
    assert.deepEqual([node.serial, node.mac], [parseSerial('a0123456'), '52:55:00:12:34:56']);
  });

  it('a request names a machine by one or the other', () => {
    assert.throws(() => addNodeSchema.parse({ image: 'web' }), /serial number of a Pi, or the MAC address/);
  });

  it('are seen by their MAC: last seen, and waiting until they are added', async () => {
    const sighting = { mac: MAC, interface: 'eth0', at: 5, machine: 'PC (UEFI x64)' };
    fleet.see(sighting);
    assert.deepEqual(fleet.sightings.all(), [sighting]);
    const { node } = await add({ mac: MAC, image: 'pc' });
    fleet.see({ ...sighting, serial: node.serial, at: 6 });
    assert.equal(fleet.sightings.bySerial(node.serial)?.at, 6);
  });
});
