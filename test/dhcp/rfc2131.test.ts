import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Arrival } from '../../src/dhcp/decision.ts';
import { OPTION } from '../../src/dhcp/options.ts';
import type { DhcpMessage } from '../../src/dhcp/packet.ts';
import { type Ipv4, ipv4ToBytes, UNSPECIFIED } from '../../src/net/ipv4.ts';
import { hex, PI4 } from './fixtures/discovers.ts';
import {
  ask,
  FULL,
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

const OWN = ip('192.168.172.103');
const bytes = (address: Ipv4) => ipv4ToBytes(address);
const requested = (address: Ipv4) => [OPTION.requestedIpAddress, bytes(address)] as const;
const server = (address: Ipv4) => [OPTION.serverIdentifier, bytes(address)] as const;
const BROADCAST = { address: ip('255.255.255.255'), port: 68 };

/** RFC 2131 table 4: what a DHCPREQUEST holds in each state of its client, and how it is sent. */
const STATES = {
  'INIT-REBOOT': (address: Ipv4) => ({
    message: plain('request', {}, [requested(address)]),
    source: UNSPECIFIED,
  }),
  SELECTING: (address: Ipv4) => ({
    message: plain('request', {}, [server(SERVER), requested(address)]),
    source: UNSPECIFIED,
  }),
  RENEWING: (address: Ipv4) => ({ message: plain('request', { ciaddr: address }), source: address }),
  REBINDING: (address: Ipv4) => ({ message: plain('request', { ciaddr: address }), source: address }),
};
type State = keyof typeof STATES;

const full = { ...FULL, pool: { first: OWN, last: OWN } };
const SITUATIONS: ReadonlyArray<{
  name: string;
  given: World;
  address: Ipv4;
  expect: Record<State, 'ack' | 'nak' | 'silence'>;
}> = [
  {
    name: 'the address that it holds',
    given: { leases: [lease(OWN, LAPTOP)] },
    address: OWN,
    expect: { 'INIT-REBOOT': 'ack', SELECTING: 'ack', RENEWING: 'ack', REBINDING: 'ack' },
  },
  {
    name: 'the address that it is offered',
    given: { leases: [lease(OWN, LAPTOP, { state: 'offered' })] },
    address: OWN,
    expect: { 'INIT-REBOOT': 'ack', SELECTING: 'ack', RENEWING: 'ack', REBINDING: 'ack' },
  },
  {
    name: 'its address, run out, and still free',
    given: { leases: [lease(OWN, LAPTOP, { expiresAt: NOW - 1 })] },
    address: OWN,
    expect: { 'INIT-REBOOT': 'ack', SELECTING: 'ack', RENEWING: 'ack', REBINDING: 'ack' },
  },
  {
    name: 'an address of the pool of which, and of whom, we know nothing',
    given: {},
    address: OWN,
    expect: { 'INIT-REBOOT': 'silence', SELECTING: 'ack', RENEWING: 'ack', REBINDING: 'ack' },
  },
  {
    name: 'an address that another client holds',
    given: { leases: [lease(OWN, PI4.mac), lease('192.168.172.104', LAPTOP)] },
    address: OWN,
    expect: { 'INIT-REBOOT': 'nak', SELECTING: 'nak', RENEWING: 'nak', REBINDING: 'nak' },
  },
  {
    name: 'an address that is reserved for a node',
    given: { nodes: [node(PI4, { ip: OWN })], leases: [lease('192.168.172.104', LAPTOP)] },
    address: OWN,
    expect: { 'INIT-REBOOT': 'nak', SELECTING: 'nak', RENEWING: 'silence', REBINDING: 'silence' },
  },
  {
    name: 'an address that rests after DECLINE',
    given: { leases: [lease(OWN, LAPTOP, { state: 'declined' })] },
    address: OWN,
    expect: { 'INIT-REBOOT': 'nak', SELECTING: 'nak', RENEWING: 'nak', REBINDING: 'nak' },
  },
  {
    name: 'an address of another network',
    given: { leases: [lease(OWN, LAPTOP)] },
    address: ip('10.0.0.3'),
    expect: { 'INIT-REBOOT': 'nak', SELECTING: 'nak', RENEWING: 'nak', REBINDING: 'nak' },
  },
  {
    name: 'the address of this network, which nobody has',
    given: { leases: [lease(OWN, LAPTOP)] },
    address: ip('192.168.172.0'),
    expect: { 'INIT-REBOOT': 'nak', SELECTING: 'nak', RENEWING: 'nak', REBINDING: 'nak' },
  },
  {
    name: 'an address outside the pool that we never gave',
    given: {},
    address: ip('192.168.172.7'),
    expect: { 'INIT-REBOOT': 'silence', SELECTING: 'nak', RENEWING: 'silence', REBINDING: 'silence' },
  },
  {
    name: 'its address, when the pool has become another',
    given: {
      network: { ...FULL, pool: { first: ip('192.168.172.200'), last: ip('192.168.172.209') } },
      leases: [lease(OWN, LAPTOP)],
    },
    address: OWN,
    expect: { 'INIT-REBOOT': 'nak', SELECTING: 'ack', RENEWING: 'ack', REBINDING: 'ack' },
  },
  {
    name: 'its address, when no other one is free',
    given: { network: full, leases: [lease(OWN, LAPTOP)] },
    address: OWN,
    expect: { 'INIT-REBOOT': 'ack', SELECTING: 'ack', RENEWING: 'ack', REBINDING: 'ack' },
  },
];

describe('RFC 2131 table 4 and section 4.3.2', () => {
  for (const { name, given, address, expect } of SITUATIONS) {
    for (const state of Object.keys(STATES) as State[]) {
      test(`${state}, ${name}: ${expect[state]}`, () => {
        const { message, source } = STATES[state](address);
        const decision = ask(given, message, { source: { address: source, port: 68 } });
        const answer = decision.kind === 'reply' ? decision.type : 'silence';
        assert.equal(answer, expect[state]);
        if (decision.kind !== 'reply') return;
        if (decision.type === 'ack') {
          assert.equal(decision.message.yiaddr, address);
          const isUsed = state === 'RENEWING' || state === 'REBINDING';
          assert.deepEqual(decision.destination, isUsed ? { address, port: 68 } : BROADCAST);
        } else {
          assert.deepEqual(
            decision.destination,
            BROADCAST,
            'a NAK is broadcast, the address is not to be used',
          );
          assert.deepEqual(decision.leaseChanges, []);
        }
      });
    }
  }
});

describe('RFC 2131 table 3: the fields and options of each reply', () => {
  const leases = [lease(OWN, LAPTOP)];
  const header = { xid: 0xdeadbeef, secs: 9, flags: 0x8000 };
  const extra = [
    [OPTION.parameterRequestList, hex('01 03 06')],
    [OPTION.maximumMessageSize, hex('05dc')],
    [OPTION.clientIdentifier, hex('01 aabbcc')],
  ] as const;
  const REPLIES: ReadonlyArray<{
    name: string;
    arrives: DhcpMessage;
    ciaddr: Ipv4;
    yiaddr: Ipv4;
    has: number[];
    not: number[];
  }> = [
    {
      name: 'DHCPOFFER',
      arrives: plain('discover', header, extra),
      ciaddr: UNSPECIFIED,
      yiaddr: OWN,
      has: [51, 53, 54, 1, 3, 6, 61],
      not: [50, 55, 57],
    },
    {
      name: 'DHCPACK of a DHCPREQUEST',
      arrives: plain('request', { ...header, ciaddr: OWN }, extra),
      ciaddr: OWN,
      yiaddr: OWN,
      has: [51, 53, 54, 1, 3, 6, 61],
      not: [50, 55, 57],
    },
    {
      name: 'DHCPACK of a DHCPINFORM',
      arrives: plain('inform', { ...header, ciaddr: OWN }, extra),
      ciaddr: OWN,
      yiaddr: UNSPECIFIED,
      has: [53, 54, 1, 3, 6, 61],
      not: [50, 51, 55, 57, 58, 59],
    },
    {
      name: 'DHCPNAK',
      arrives: plain('request', header, [requested(ip('10.0.0.3')), ...extra]),
      ciaddr: UNSPECIFIED,
      yiaddr: UNSPECIFIED,
      has: [53, 54, 56, 61],
      not: [50, 51, 55, 57, 1, 3, 6, 43, 60, 66],
    },
  ];
  for (const { name, arrives, ciaddr, yiaddr, has, not } of REPLIES) {
    test(name, () => {
      const { message } = replyOf(ask({ leases }, arrives));
      const { op, htype, hops, xid, secs, flags, chaddr, giaddr, sname, file } = message;
      assert.deepEqual(
        { op, htype, hops, xid, secs, flags, chaddr, giaddr, sname, file },
        {
          ...{ op: 2, htype: 1, hops: 0, xid: 0xdeadbeef, secs: 0, flags: 0x8000, chaddr: LAPTOP },
          ...{ giaddr: UNSPECIFIED, sname: '', file: '' },
        },
      );
      assert.deepEqual([message.ciaddr, message.yiaddr], [ciaddr, yiaddr]);
      for (const code of has) assert.ok(message.options.has(code), `option ${code} is missing`);
      for (const code of not) assert.ok(!message.options.has(code), `option ${code} is there`);
      assert.deepEqual(message.options.get(OPTION.serverIdentifier), bytes(SERVER));
    });
  }

  test('T1 and T2 are half and seven eighths of the lease (section 4.4.5)', () => {
    const { options } = replyOf(ask({ leases }, plain('discover'))).message;
    const seconds = [51, 58, 59].map((code) => Buffer.from(options.get(code) as Uint8Array).readUInt32BE());
    assert.deepEqual(seconds, [43_200, 21_600, 37_800]);
  });
});

describe('RFC 2131 section 4.1: where replies go', () => {
  const leases = [lease(OWN, LAPTOP)];
  const rows: ReadonlyArray<{
    name: string;
    arrives: DhcpMessage;
    arrival?: Partial<Arrival>;
    expect: { address: string; port: number };
  }> = [
    {
      name: 'giaddr is set: to the relay, at the server’s port',
      arrives: plain('discover', { giaddr: ip('192.168.172.2'), ciaddr: OWN }),
      expect: { address: '192.168.172.2', port: 67 },
    },
    {
      name: 'ciaddr is set: to the client, by unicast',
      arrives: plain('request', { ciaddr: OWN }),
      expect: { address: OWN, port: 68 },
    },
    {
      name: 'ciaddr and the broadcast bit are set: to the client all the same',
      arrives: plain('request', { ciaddr: OWN, flags: 0x8000 }),
      expect: { address: OWN, port: 68 },
    },
    {
      name: 'neither, with the broadcast bit: to all',
      arrives: plain('discover', { flags: 0x8000 }),
      expect: BROADCAST,
    },
    {
      name: 'neither, without it: to all, as no Pi 3 hears unicast for sure',
      arrives: plain('discover'),
      expect: BROADCAST,
    },
    {
      name: 'an INFORM that leaves its address out: to where it came from',
      arrives: plain('inform'),
      arrival: { source: { address: ip('192.168.172.7'), port: 68 } },
      expect: { address: '192.168.172.7', port: 68 },
    },
    {
      name: 'a forged ciaddr of elsewhere in a DISCOVER: to all on this wire, never there',
      arrives: plain('discover', { ciaddr: ip('8.8.8.8') }),
      expect: BROADCAST,
    },
  ];
  for (const { name, arrives, arrival, expect } of rows) {
    test(name, () => assert.deepEqual(replyOf(ask({ leases }, arrives, arrival)).destination, expect));
  }
});

describe('RFC 2131 section 4.3.1: which address is offered', () => {
  const other = ip('192.168.172.104');
  const rows: ReadonlyArray<{ name: string; given: World; wish?: Ipv4; expect: Ipv4 }> = [
    {
      name: 'the one it holds, before the one it asks for',
      given: { leases: [lease(OWN, LAPTOP)] },
      wish: other,
      expect: OWN,
    },
    {
      name: 'the one it had, when nobody took it',
      given: { leases: [lease(OWN, LAPTOP, { expiresAt: NOW - 1 })] },
      wish: other,
      expect: OWN,
    },
    { name: 'the one it asks for, when it is free', given: {}, wish: other, expect: other },
    {
      name: 'its reservation before all of them',
      given: {
        nodes: [{ ...node(PI4), mac: LAPTOP, ip: ip('192.168.172.30') }],
        leases: [lease(OWN, LAPTOP)],
      },
      wish: other,
      expect: ip('192.168.172.30'),
    },
  ];
  for (const { name, given, wish, expect } of rows) {
    test(name, () => {
      const arrives = plain('discover', {}, wish ? [requested(wish)] : []);
      assert.equal(replyOf(ask(given, arrives)).message.yiaddr, expect);
    });
  }

  test('one of the pool, when the one it asks for is another’s', () => {
    const given = { leases: [lease(other, PI4.mac)] };
    const { yiaddr } = replyOf(ask(given, plain('discover', {}, [requested(other)]))).message;
    assert.notEqual(yiaddr, other);
    assert.match(yiaddr, /^192\.168\.172\.10\d$/);
  });
});

describe('RFC 2131 sections 4.3.3 and 4.3.4', () => {
  const held = lease(OWN, LAPTOP);
  const declines = (more: Partial<DhcpMessage> = {}) =>
    plain('decline', more, [requested(OWN), server(SERVER)]);

  test('DHCPDECLINE: nobody is given the address, its client the least, until it has rested', () => {
    const declined = ask({ leases: [held] }, declines());
    assert.ok(declined.kind === 'silent');
    const leases = declined.leaseChanges.flatMap((change) => (change.kind === 'put' ? [change.lease] : []));
    const network = { ...FULL, pool: { first: OWN, last: OWN } };
    assert.equal(ask({ network, leases }, plain('discover')).kind, 'ignore');
    assert.equal(ask({ network, leases }, plain('discover', { chaddr: mac(PI4.mac) })).kind, 'ignore');
    const rested = leases.map((each) => ({ ...each, expiresAt: NOW }));
    assert.equal(replyOf(ask({ network, leases: rested }, plain('discover'))).message.yiaddr, OWN);
  });

  test('DHCPDECLINE of somebody else’s address changes nothing', () => {
    assert.equal(ask({ leases: [held] }, declines({ chaddr: mac(PI4.mac) })).kind, 'ignore');
  });

  test('DHCPRELEASE: the address is free for others, and its client has it back when nobody came', () => {
    const released = ask({ leases: [held] }, plain('release', { ciaddr: OWN }, [server(SERVER)]));
    assert.ok(released.kind === 'silent');
    const leases = released.leaseChanges.flatMap((change) => (change.kind === 'put' ? [change.lease] : []));
    const network = { ...FULL, pool: { first: OWN, last: OWN } };
    for (const chaddr of [LAPTOP, mac(PI4.mac)])
      assert.equal(replyOf(ask({ network, leases }, plain('discover', { chaddr }))).message.yiaddr, OWN);
  });
});
