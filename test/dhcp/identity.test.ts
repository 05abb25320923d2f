import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classify } from '../../src/dhcp/client.ts';
import { identify, isServed } from '../../src/dhcp/identity.ts';
import type { DhcpMessage } from '../../src/dhcp/packet.ts';
import { PI4, ROM3 } from './fixtures/discovers.ts';
import { from, lease, MemoryLeases, mac, node, plain, serial, viewOf, type World } from './fixtures/world.ts';

const PI4_MAC = mac(PI4.mac);
const other = { serial: serial('00000001'), name: 'other', image: 'web' };
const SERVE = { unknown: 'serve', defaultImage: 'web' } as const;

const CASES: ReadonlyArray<{ name: string; given: World; arrives: DhcpMessage; expect: unknown }> = [
  {
    name: 'by the serial of option 97',
    given: { nodes: [node(PI4)] },
    arrives: from(PI4),
    expect: [PI4.serial, `node-${PI4.serial}`, true],
  },
  {
    name: 'a told serial goes before the MAC of another node',
    given: { nodes: [{ ...other, mac: PI4_MAC }] },
    arrives: from(PI4),
    expect: [PI4.serial, undefined, false],
  },
  {
    name: 'by the MAC',
    given: { nodes: [node(PI4, { mac: PI4_MAC })] },
    arrives: plain('discover', { chaddr: PI4_MAC }),
    expect: [PI4.serial, `node-${PI4.serial}`, true],
  },
  {
    name: 'a 3B ROM by the end of its MAC',
    given: { nodes: [other, node(ROM3)] },
    arrives: from(ROM3),
    expect: [ROM3.serial, `node-${ROM3.serial}`, true],
  },
  {
    name: 'not when two nodes end so',
    given: { nodes: [node(ROM3), { ...other, serial: serial('016c4c16') }] },
    arrives: from(ROM3),
    expect: [undefined, undefined, false],
  },
  {
    name: 'not by the end of its MAC when the node has another MAC',
    given: { nodes: [node(ROM3, { mac: mac('b8:27:eb:99:99:99') })] },
    arrives: from(ROM3),
    expect: [undefined, undefined, false],
  },
  {
    name: 'the twin whose MAC is not known, when the other has another',
    given: {
      nodes: [node(ROM3, { mac: mac('b8:27:eb:99:99:99') }), { ...other, serial: serial('016c4c16') }],
    },
    arrives: from(ROM3),
    expect: ['016c4c16', 'other', true],
  },
  {
    name: 'the kernel of a Pi 3, by the end of its MAC',
    given: { nodes: [node(ROM3)] },
    arrives: plain('discover', { chaddr: mac(ROM3.mac) }),
    expect: [ROM3.serial, `node-${ROM3.serial}`, true],
  },
  {
    name: 'by what an earlier stage told',
    given: {
      nodes: [node(PI4)],
      leases: [lease('192.168.172.100', PI4.mac, { serial: serial(PI4.serial) })],
    },
    arrives: plain('discover', { chaddr: PI4_MAC }),
    expect: [PI4.serial, `node-${PI4.serial}`, true],
  },
  { name: 'an unknown Pi', given: {}, arrives: from(PI4), expect: [PI4.serial, undefined, false] },
  {
    name: 'an unknown Pi, served',
    given: { policy: SERVE },
    arrives: from(PI4),
    expect: [PI4.serial, `pi-${PI4.serial}`, true],
  },
  {
    name: 'an unknown 3B ROM, served',
    given: { policy: SERVE },
    arrives: from(ROM3),
    expect: [undefined, undefined, true],
  },
  {
    name: 'serve without an image to serve',
    given: { policy: { unknown: 'serve' } },
    arrives: from(ROM3),
    expect: [undefined, undefined, false],
  },
  {
    name: 'a laptop',
    given: { nodes: [node(PI4)], policy: SERVE },
    arrives: plain('discover'),
    expect: [undefined, undefined, false],
  },
];

for (const { name, given, arrives, expect } of CASES) {
  test(name, () => {
    const client = classify(arrives);
    const view = viewOf(given);
    const identity = identify(client, arrives.chaddr, 'rack0', view, new MemoryLeases(given.leases));
    assert.deepEqual([identity.serial, identity.node?.name, isServed(client, identity, view)], expect);
  });
}
