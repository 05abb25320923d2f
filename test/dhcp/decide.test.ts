import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide } from '../../src/dhcp/decide.ts';
import { decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { WireError } from '../../src/net/bytes.ts';
import { FIRMWARES, hex, PI4, ROM3 } from './fixtures/discovers.ts';
import {
  ARRIVAL,
  ask,
  FULL,
  from,
  ip,
  MemoryLeases,
  mac,
  NOW,
  node,
  PROXY,
  plain,
  replyOf,
  SERVER,
  viewOf,
} from './fixtures/world.ts';

const IGNORED = [
  {
    name: 'our own or another server’s reply',
    arrives: plain('offer', { op: 2 }),
    says: /answer of a server/,
  },
  {
    name: 'hardware other than Ethernet',
    arrives: plain('discover', { htype: 32 }),
    says: /hardware type 32/,
  },
  {
    name: 'BOOTP without a message type',
    arrives: { ...plain('discover'), options: new Map() },
    says: /no DHCP message type/,
  },
  {
    name: 'a message type that is none',
    arrives: plain('discover', {}, [[53, hex('09')]]),
    says: /no DHCP message type/,
  },
  {
    name: 'a relay of another subnet',
    arrives: plain('discover', { giaddr: ip('10.0.0.1') }),
    says: /relay 10\.0\.0\.1/,
  },
  { name: 'a server’s message type from a client', arrives: plain('ack'), says: /no client sends DHCPACK/ },
];

for (const { name, arrives, says } of IGNORED) {
  test(`ignored: ${name}`, () => {
    const decision = ask({}, arrives);
    assert.equal(decision.kind, 'ignore');
    assert.match(decision.kind === 'ignore' ? decision.reason : '', says);
  });
}

test('ignored: where DHCP is off, on an unknown interface, and from ourselves', () => {
  const reason = (decision: ReturnType<typeof ask>) =>
    decision.kind === 'ignore' ? decision.reason : decision.kind;
  assert.match(
    reason(ask({ network: { ...FULL, dhcp: 'off' } }, plain('discover'))),
    /off on this interface/,
  );
  assert.match(reason(ask({}, plain('discover'), { interface: 'lan0' })), /off on this interface/);
  assert.match(reason(ask({}, plain('discover'), { source: { address: SERVER, port: 68 } })), /ourselves/);
});

for (const firmware of FIRMWARES) {
  test(`the DISCOVER of ${firmware.name} with each of its bits flipped`, () => {
    const leases = new MemoryLeases();
    const views = [FULL, PROXY].map((network) => viewOf({ network, nodes: [node(firmware)] }));
    for (let bit = 0; bit < firmware.bytes.length * 8; bit++) {
      const offset = bit >> 3;
      const flipped = (firmware.bytes[offset] as number) ^ (1 << (bit & 7));
      try {
        const message = decodeMessage(firmware.bytes.with(offset, flipped));
        for (const view of views) {
          const decision = decide(message, ARRIVAL, view, leases, NOW);
          if (decision.kind === 'reply') decodeMessage(encodeMessage(decision.message));
        }
      } catch (error) {
        assert.ok(error instanceof WireError, `bit ${bit & 7} of byte ${offset}: ${error}`);
      }
    }
  });

  test(`the DISCOVER of ${firmware.name}, cut at every length`, () => {
    const view = viewOf({ nodes: [node(firmware)] });
    for (let length = 0; length < firmware.bytes.length; length++) {
      try {
        decide(decodeMessage(firmware.bytes.subarray(0, length)), ARRIVAL, view, new MemoryLeases(), NOW);
      } catch (error) {
        assert.ok(error instanceof WireError, `length ${length}: ${error}`);
      }
    }
  });
}

test('a Pi that asks is seen, whatever is decided', () => {
  const sighting = { mac: PI4.mac, interface: 'rack0', at: NOW, machine: 'Pi 4', serial: PI4.serial };
  assert.deepEqual(ask({}, from(PI4)).sighting, sighting);
  assert.deepEqual(ask({ nodes: [node(PI4)] }, from(PI4)).sighting, sighting);
  assert.deepEqual(ask({ network: PROXY }, from(PI4)).sighting, sighting);
  assert.deepEqual(ask({ policy: { unknown: 'ignore' } }, from(PI4)).sighting, sighting);
  assert.equal(ask({}, plain('discover')).sighting, undefined);
});

test('the sighting of a 3B ROM has no serial', () => {
  const { sighting } = ask({ nodes: [node(ROM3)] }, from(ROM3));
  assert.deepEqual(sighting, { mac: ROM3.mac, interface: 'rack0', at: NOW, machine: 'Pi 3 (boot ROM)' });
});

test('two Pi 3 with the one transaction id they all use get two addresses (checklist 2)', () => {
  const leases = new MemoryLeases();
  const offered = [ROM3, { ...ROM3, mac: 'b8:27:eb:00:00:01' }].map((firmware) => {
    const message = { ...from(ROM3), chaddr: mac(firmware.mac) };
    const reply = replyOf(decide(message, ARRIVAL, viewOf({}), leases, NOW));
    leases.apply(reply.leaseChanges);
    return reply.message.yiaddr;
  });
  assert.equal(new Set(offered).size, 2);
});
