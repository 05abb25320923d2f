import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Decision } from '../../src/dhcp/decision.ts';
import { OPTION } from '../../src/dhcp/options.ts';
import type { DhcpMessage } from '../../src/dhcp/packet.ts';
import type { Lease } from '../../src/model/lease.ts';
import { hex, PI4 } from './fixtures/discovers.ts';
import {
  ask,
  from,
  ip,
  LAPTOP,
  lease,
  mac,
  NOW,
  node,
  plain,
  replyOf,
  SERVER,
  type World,
} from './fixtures/world.ts';

// RFC 2131 section 4.3.2 and table 4, row by row.

const HELD = '192.168.172.103';
const address = (text: string) => Uint8Array.from(text.split('.'), Number);
const server = (text: string) => [OPTION.serverIdentifier, address(text)] as const;
const wants = (text: string) => [OPTION.requestedIpAddress, address(text)] as const;
const selecting = (requested: string, chosen: string = SERVER) =>
  plain('request', {}, [server(chosen), wants(requested)]);
const initReboot = (requested: string) => plain('request', {}, [wants(requested)]);
const renewing = (ciaddr: string) => plain('request', { ciaddr: ip(ciaddr) });

const offered = lease(HELD, LAPTOP, { state: 'offered', expiresAt: NOW + 60_000 });
const bound = lease(HELD, LAPTOP);
const expired = lease(HELD, LAPTOP, { expiresAt: NOW - 1 });
const others = lease(HELD, PI4.mac);
const reserved = {
  serial: node(PI4).serial,
  name: 'desk',
  image: 'web',
  mac: LAPTOP,
  ip: ip('192.168.172.50'),
};

const ROWS: ReadonlyArray<{ name: string; given: World; arrives: DhcpMessage; expect: string }> = [
  {
    name: 'SELECTING us, the offered address',
    given: { leases: [offered] },
    arrives: selecting(HELD),
    expect: `ack ${HELD}`,
  },
  {
    name: 'SELECTING us, our offer forgotten, the address free',
    given: {},
    arrives: selecting(HELD),
    expect: `ack ${HELD}`,
  },
  {
    name: 'SELECTING us, the address another’s',
    given: { leases: [others] },
    arrives: selecting(HELD),
    expect: 'nak',
  },
  {
    name: 'SELECTING us, an address outside the pool',
    given: {},
    arrives: selecting('192.168.172.7'),
    expect: 'nak',
  },
  { name: 'SELECTING us, our own address', given: {}, arrives: selecting(SERVER), expect: 'nak' },
  {
    name: 'SELECTING us, an address of another network',
    given: {},
    arrives: selecting('10.0.0.3'),
    expect: 'nak',
  },
  {
    name: 'SELECTING us, without option 50',
    given: { leases: [offered] },
    arrives: plain('request', {}, [server(SERVER)]),
    expect: `ack ${HELD}`,
  },
  {
    name: 'SELECTING us, without option 50 and without an offer',
    given: {},
    arrives: plain('request', {}, [server(SERVER)]),
    expect: 'ignore',
  },
  {
    name: 'SELECTING us, its address in ciaddr instead of option 50',
    given: { leases: [bound] },
    arrives: plain('request', { ciaddr: ip(HELD) }, [server(SERVER)]),
    expect: `ack ${HELD}`,
  },
  {
    name: 'SELECTING us, another’s address in ciaddr',
    given: { leases: [others] },
    arrives: plain('request', { ciaddr: ip(HELD) }, [server(SERVER)]),
    expect: 'nak',
  },
  {
    name: 'SELECTING us, the offered address, another reserved since',
    given: { nodes: [reserved], leases: [offered] },
    arrives: selecting(HELD),
    expect: `ack ${HELD}`,
  },
  {
    name: 'SELECTING another server, our offer held',
    given: { leases: [offered] },
    arrives: selecting('10.0.0.3', '10.0.0.1'),
    expect: `drop ${HELD}`,
  },
  {
    name: 'SELECTING another server, nothing held',
    given: {},
    arrives: selecting('10.0.0.3', '10.0.0.1'),
    expect: 'ignore',
  },
  {
    name: 'SELECTING another server, a lease bound',
    given: { leases: [bound] },
    arrives: selecting('10.0.0.3', '10.0.0.1'),
    expect: 'ignore',
  },
  {
    name: 'INIT-REBOOT, its address',
    given: { leases: [bound] },
    arrives: initReboot(HELD),
    expect: `ack ${HELD}`,
  },
  {
    name: 'INIT-REBOOT, its address, expired and still free',
    given: { leases: [expired] },
    arrives: initReboot(HELD),
    expect: `ack ${HELD}`,
  },
  {
    name: 'INIT-REBOOT, another address than it has',
    given: { leases: [bound] },
    arrives: initReboot('192.168.172.104'),
    expect: 'nak',
  },
  { name: 'INIT-REBOOT, nothing known of it', given: {}, arrives: initReboot(HELD), expect: 'ignore' },
  {
    name: 'INIT-REBOOT, nothing known of it, wrong network',
    given: {},
    arrives: initReboot('10.0.0.3'),
    expect: 'nak',
  },
  {
    name: 'INIT-REBOOT, a node’s reserved address',
    given: { nodes: [reserved] },
    arrives: initReboot('192.168.172.50'),
    expect: 'ack 192.168.172.50',
  },
  {
    name: 'INIT-REBOOT, reserved another meanwhile',
    given: { nodes: [reserved], leases: [bound] },
    arrives: initReboot(HELD),
    expect: 'nak',
  },
  {
    name: 'RENEWING its address',
    given: { leases: [bound] },
    arrives: renewing(HELD),
    expect: `ack ${HELD}`,
  },
  {
    name: 'RENEWING an expired lease nobody took',
    given: { leases: [expired] },
    arrives: renewing(HELD),
    expect: `ack ${HELD}`,
  },
  {
    name: 'RENEWING what another holds',
    given: { leases: [others] },
    arrives: renewing(HELD),
    expect: 'nak',
  },
  {
    name: 'RENEWING what is a node’s now, whose lease has expired',
    given: { nodes: [node(PI4)], leases: [{ ...others, serial: node(PI4).serial, expiresAt: NOW - 1 }] },
    arrives: renewing(HELD),
    expect: 'nak',
  },
  {
    name: 'RENEWING what rests after DECLINE',
    given: { leases: [{ ...bound, state: 'declined' } satisfies Lease] },
    arrives: renewing(HELD),
    expect: 'nak',
  },
  { name: 'REBINDING on the wrong network', given: {}, arrives: renewing('10.0.0.3'), expect: 'nak' },
  {
    name: 'RENEWING an address of the pool that we forgot',
    given: {},
    arrives: renewing(HELD),
    expect: `ack ${HELD}`,
  },
  {
    name: 'RENEWING an address that is not ours to give',
    given: {},
    arrives: renewing('192.168.172.7'),
    expect: 'ignore',
  },
  {
    name: 'RENEWING such an address, another’s until lately',
    given: { leases: [lease('192.168.172.7', PI4.mac, { expiresAt: NOW })] },
    arrives: renewing('192.168.172.7'),
    expect: 'ignore',
  },
  {
    name: 'RENEWING while the reservation changed: a running node keeps its address',
    given: { nodes: [reserved], leases: [bound] },
    arrives: renewing(HELD),
    expect: `ack ${HELD}`,
  },
  {
    name: 'neither 50, 54 nor ciaddr',
    given: { leases: [bound] },
    arrives: plain('request'),
    expect: 'ignore',
  },
  {
    name: 'REQUEST of a Pi 4 without option 60',
    given: { nodes: [node(PI4)] },
    arrives: plain('request', { chaddr: mac(PI4.mac) }, [server(SERVER), wants(HELD)]),
    expect: `ack ${HELD}`,
  },
];

function told(decision: Decision): string {
  if (decision.kind === 'ignore') return 'ignore';
  const puts = decision.leaseChanges.flatMap((change) => (change.kind === 'put' ? [change.lease] : []));
  if (decision.kind === 'silent')
    return puts.map(({ address, expiresAt }) => `drop ${address}${expiresAt - NOW || ''}`).join();
  if (decision.type === 'nak') return 'nak';
  const [lease] = puts;
  assert.equal(lease?.state, 'bound');
  assert.equal(lease?.expiresAt, NOW + 43_200_000);
  assert.equal(lease?.address, decision.message.yiaddr);
  return `${decision.type} ${lease?.address}`;
}

for (const { name, given, arrives, expect } of ROWS) {
  test(`${name}: ${expect}`, () => assert.equal(told(ask(given, arrives)), expect));
}

test('a NAK is broadcast, names us and the reason, and holds no address', () => {
  const { message, destination, leaseChanges } = replyOf(ask({ leases: [others] }, renewing(HELD)));
  assert.deepEqual(destination, { address: '255.255.255.255', port: 68 });
  assert.deepEqual([...message.options.keys()], [53, 54, 56]);
  assert.deepEqual([message.ciaddr, message.yiaddr, message.siaddr], ['0.0.0.0', '0.0.0.0', '0.0.0.0']);
  assert.deepEqual(leaseChanges, []);
});

test('a NAK through a relay has the broadcast flag set', () => {
  const relayed = { ...initReboot('10.0.0.3'), giaddr: ip('192.168.172.2') };
  const { message, destination } = replyOf(ask({}, relayed));
  assert.equal(message.flags, 0x8000);
  assert.deepEqual(destination, { address: '192.168.172.2', port: 67 });
});

test('a renewal is answered to the address that is renewed', () => {
  const { destination, message } = replyOf(ask({ leases: [bound] }, renewing(HELD)));
  assert.deepEqual(destination, { address: HELD, port: 68 });
  assert.equal(message.ciaddr, HELD);
});

test('the ACK to a Pi’s firmware says again where to boot from (checklist 13)', () => {
  const request = from(PI4, 'request', [server(SERVER), wants(HELD)]);
  const { message } = replyOf(ask({ nodes: [node(PI4)] }, request));
  assert.deepEqual([...message.options.keys()], [53, 54, 51, 58, 59, 1, 28, 3, 6, 12, 60, 66, 97, 43]);
  assert.equal(message.siaddr, SERVER);
});

test('a malformed option 54 is no other server', () => {
  const request = plain('request', {}, [[OPTION.serverIdentifier, hex('0a')], wants(HELD)]);
  assert.equal(told(ask({ leases: [bound] }, request)), `ack ${HELD}`);
});

test('an offer that was not taken costs no write to the disk', () => {
  const decision = ask({ leases: [offered] }, selecting('10.0.0.3', '10.0.0.1'));
  assert.ok(decision.kind === 'silent');
  assert.deepEqual(decision.leaseChanges, [
    { kind: 'put', lease: { ...offered, expiresAt: NOW }, volatile: true },
  ]);
});
