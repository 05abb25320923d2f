import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Addresses } from '../../src/fleet/addresses.ts';
import { LeaseTable } from '../../src/fleet/leases.ts';
import type { BootView } from '../../src/model/boot-view.ts';
import type { Lease } from '../../src/model/lease.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Node } from '../../src/model/node.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import type { Serial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const MAC_A = 'dc:a6:32:00:00:0a' as Mac;
const MAC_B = 'dc:a6:32:00:00:0b' as Mac;
const MAC_X = 'dc:a6:32:00:00:ff' as Mac;
const ip = (last: number) => `10.0.0.${last}` as Ipv4;
const NOW = 1_000_000;

let store: MemoryStore;
let leases: LeaseTable;
let neighbours: Map<Ipv4, Mac>;
let nodes: Map<Serial, Node>;
let addresses: Addresses;
let moves: string[];
let dhcp: 'full' | 'proxy';

function view(): BootView {
  const all = [...nodes.values()];
  return {
    networks: new Map([['eth0', { interface: 'eth0', dhcp }]]),
    nodes,
    nodesByMac: new Map(all.flatMap((node) => (node.mac ? [[node.mac, node]] : []))),
    nodesByIp: new Map(all.flatMap((node) => (node.ip ? [[node.ip, node]] : []))),
    nodesByTail: new Map(),
  } as unknown as BootView;
}

function node(serial: string, values: Partial<Node>): Node {
  const added = { serial: serial as Serial, name: serial, image: 'web', ...values };
  nodes.set(added.serial, added);
  return added;
}

function open(): void {
  const neighbourMac = async (address: Ipv4) => neighbours.get(address);
  addresses = new Addresses({ store, view, leases, neighbourMac, log: silentLog, now: () => NOW });
  moves = [];
  addresses.onMoved((serial, address) => moves.push(`${serial} ${address}`));
}

const put = async (address: Ipv4, mac: Mac, values: Partial<Lease> = {}) =>
  leases.commit([
    {
      kind: 'put',
      lease: { address, mac, interface: 'eth0', state: 'bound', expiresAt: NOW + 1000, ...values },
    },
  ]);

beforeEach(() => {
  store = new MemoryStore();
  leases = new LeaseTable(store);
  neighbours = new Map();
  nodes = new Map();
  dhcp = 'full';
  open();
});

describe('where a node is', () => {
  it('nobody knows before anything tells', () => {
    assert.equal(addresses.addressOf(node('aaaaaaaa', { mac: MAC_A })), undefined);
    assert.equal(addresses.nodeAt(ip(1)), undefined);
  });

  it('is what is reserved, while nothing was seen', () => {
    const a = node('aaaaaaaa', { mac: MAC_A, ip: ip(1) });
    assert.equal(addresses.addressOf(a), ip(1));
    assert.equal(addresses.nodeAt(ip(1)), a);
  });

  it('is what its MAC was bound to, also when that has run out, as its kernel never renews it', async () => {
    const a = node('aaaaaaaa', { mac: MAC_A });
    await put(ip(1), MAC_A, { state: 'offered' });
    assert.equal(addresses.addressOf(a), undefined);
    await put(ip(1), MAC_A, { expiresAt: NOW - 1 });
    assert.equal(addresses.addressOf(a), ip(1));
    assert.deepEqual(moves, ['aaaaaaaa 10.0.0.1']);
    await put(ip(1), MAC_A, { expiresAt: NOW + 2000 });
    assert.deepEqual(moves, ['aaaaaaaa 10.0.0.1'], 'the same again is no move');
  });

  it('stays while another is reserved that it has not booted with', async () => {
    await put(ip(1), MAC_A);
    node('aaaaaaaa', { mac: MAC_A });
    await put(ip(1), MAC_A, { expiresAt: NOW + 2000 });
    const changed = node('aaaaaaaa', { mac: MAC_A, ip: ip(2) });
    assert.equal(addresses.addressOf(changed), ip(1));
    await put(ip(2), MAC_A);
    assert.equal(addresses.addressOf(changed), ip(2));
    assert.equal(addresses.nodeAt(ip(1)), undefined);
  });

  it('is not what is reserved while another node runs with it: the files of both would go there', async () => {
    const [a, b] = [node('aaaaaaaa', { mac: MAC_A }), node('bbbbbbbb', { mac: MAC_B, ip: ip(100) })];
    await put(ip(100), MAC_A);
    assert.deepEqual([addresses.addressOf(a), addresses.addressOf(b)], [ip(100), undefined]);
    assert.equal(addresses.nodeAt(ip(100)), a);
    await put(ip(101), MAC_A);
    assert.deepEqual([addresses.addressOf(a), addresses.addressOf(b)], [ip(101), ip(100)]);
  });

  it('is found of a lease from before this was known', async () => {
    await put(ip(1), MAC_A);
    const a = node('aaaaaaaa', { mac: MAC_A });
    assert.equal(addresses.addressOf(a), ip(1));
    assert.equal(addresses.nodeAt(ip(1)), a);
  });

  it('is nowhere when its address is somebody else’s by now', async () => {
    const a = node('aaaaaaaa', { mac: MAC_A });
    await put(ip(1), MAC_A);
    await put(ip(1), MAC_X);
    assert.equal(addresses.addressOf(a), undefined);
    assert.equal(addresses.nodeAt(ip(1)), undefined);
    const b = node('bbbbbbbb', { mac: MAC_B });
    await put(ip(1), MAC_B);
    assert.deepEqual([addresses.addressOf(a), addresses.nodeAt(ip(1))], [undefined, b]);
  });

  it('is nothing that a lease tells which is left over from an earlier `dhcp: full`', async () => {
    await put(ip(1), MAC_A);
    await put(ip(2), MAC_X);
    dhcp = 'proxy';
    const a = node('aaaaaaaa', { mac: MAC_A });
    assert.equal(addresses.addressOf(a), undefined);
    assert.equal(await addresses.macOf(ip(2)), undefined);
    neighbours.set(ip(2), MAC_A);
    await addresses.located(a.serial, ip(2));
    assert.equal(addresses.addressOf(a), ip(2));
    assert.deepEqual([addresses.nodeAt(ip(1)), addresses.nodeAt(ip(2))], [undefined, a]);
  });

  it('outlives a restart, and is forgotten with the node', async () => {
    const a = node('aaaaaaaa', { mac: MAC_A });
    neighbours.set(ip(7), MAC_A);
    await addresses.located(a.serial, ip(7));
    await store.transact({ writes: [] });
    open();
    assert.equal(addresses.addressOf(a), ip(7));
    await store.transact({ writes: [{ kind: 'delete', key: 'node/aaaaaaaa' }] });
    assert.equal(addresses.addressOf(a), undefined);
    assert.deepEqual(store.list('address/'), []);
  });
});

// Anybody can ask for X/cmdline.txt; what is X's must not be exported to anybody.
const fetches: ReadonlyArray<{
  name: string;
  given: () => unknown;
  from: Ipv4;
  expect: Ipv4 | undefined;
}> = [
  { name: 'its own MAC, by ARP', given: () => neighbours.set(ip(3), MAC_A), from: ip(3), expect: ip(3) },
  {
    name: 'its own MAC, by an offer that a Pi 3 uses as it is',
    given: () => put(ip(3), MAC_A, { state: 'offered' }),
    from: ip(3),
    expect: ip(3),
  },
  { name: 'another MAC, by ARP', given: () => neighbours.set(ip(3), MAC_X), from: ip(3), expect: undefined },
  {
    name: 'another node',
    given: () => {
      node('bbbbbbbb', { mac: MAC_B });
      neighbours.set(ip(3), MAC_B);
    },
    from: ip(3),
    expect: undefined,
  },
  {
    name: 'whose lease says another, whatever ARP says',
    given: async () => {
      neighbours.set(ip(3), MAC_A);
      await put(ip(3), MAC_X);
    },
    from: ip(3),
    expect: undefined,
  },
  { name: 'a MAC that nothing tells', given: () => undefined, from: ip(3), expect: undefined },
];
describe('a boot file of a node is fetched', () => {
  for (const { name, given, from, expect } of fetches) {
    it(`by ${name}`, async () => {
      const a = node('aaaaaaaa', { mac: MAC_A });
      await given();
      await addresses.located(a.serial, from);
      assert.equal(addresses.addressOf(a), expect);
      assert.equal(addresses.seenAt(a.serial), expect && NOW);
    });
  }

  it('by a stranger from elsewhere: the node stays where it is', async () => {
    const a = node('aaaaaaaa', { mac: MAC_A });
    await put(ip(1), MAC_A);
    neighbours.set(ip(9), MAC_X);
    await addresses.located(a.serial, ip(9));
    assert.equal(addresses.addressOf(a), ip(1));
    assert.equal(addresses.seenAt(a.serial), undefined);
  });

  it('in the name of a node that is none', async () => {
    neighbours.set(ip(3), MAC_A);
    await addresses.located('cccccccc' as Serial, ip(3));
    assert.deepEqual([moves, store.list('address/')], [[], []]);
  });
});
