import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decide } from '../../src/dhcp/decide.ts';
import type { Arrival } from '../../src/dhcp/decision.ts';
import { OPTION } from '../../src/dhcp/options.ts';
import { type DhcpMessage, decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { LeaseTable } from '../../src/fleet/leases.ts';
import type { Network } from '../../src/model/network.ts';
import { ipv4ToBytes, UNSPECIFIED } from '../../src/net/ipv4.ts';
import { type Mac, macFromBytes } from '../../src/net/mac.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { sampleGeneration } from '../boot/sample-view.ts';
import { FIRMWARES, PI4, ROM3 } from './fixtures/discovers.ts';
import {
  ARRIVAL,
  FULL,
  ip,
  LAPTOP,
  MemoryLeases,
  mac,
  NOW,
  node,
  PROXY,
  plain,
  SERVER,
  viewOf,
} from './fixtures/world.ts';

const FAR: Network = {
  ...FULL,
  subnet: { network: ip('10.1.2.0'), prefix: 24 },
  pool: { first: ip('10.1.2.100'), last: ip('10.1.2.104') },
  router: ip('10.1.2.1'),
};
const RELAYED: Network = { ...FULL, relayed: [FAR] };
const POLICIES = [
  { unknown: 'hold' },
  { unknown: 'ignore' },
  { unknown: 'serve', defaultImage: 'web' },
] as const;
const generations = [
  sampleGeneration('web', { 'ipxe-arm64.efi': 1, 'snponly.efi': 1, 'undionly.kpxe': 1 }, '/generations/web'),
];

const address = fc.constantFrom(
  ...['0.0.0.0', SERVER, '192.168.172.103', '192.168.172.254', '192.168.172.0', '10.1.2.1', '10.1.2.103'],
  ...['255.255.255.255', '8.8.8.8', '127.0.0.1', '192.168.172.7'],
);
const chaddr = fc.constantFrom(
  ...FIRMWARES.map((firmware) => mac(firmware.mac)),
  LAPTOP,
  mac('ff:ff:ff:ff:ff:ff'),
);
const word = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const value = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.uint8Array({ maxLength: 700 }),
  address.map((each) => ipv4ToBytes(ip(each))),
  fc.integer({ min: 0, max: 9 }).map((each) => Uint8Array.of(each)),
  fc
    .constantFrom(
      ...[
        'PXEClient:Arch:00000:UNDI:002001',
        'PXEClient:Arch:00011:UNDI:003000',
        'HTTPClient:Arch:00019',
        'iPXE',
      ],
      ...['\x04iPXE', 'U-Boot.armv8', 'PXEClient', '', '192.168.172.9', 'a'.repeat(253)],
    )
    .map(word),
  fc.constantFrom(...FIRMWARES).map(({ bytes }) => decodeMessage(bytes).options.get(97) as Uint8Array),
);
const code = fc.oneof(
  fc.constantFrom(12, 43, 50, 53, 54, 55, 56, 57, 60, 61, 66, 77, 82, 93, 94, 97),
  fc.integer({ min: 1, max: 254 }).filter((each) => each !== 52),
);
const type = fc.integer({ min: 0, max: 9 }).map((each) => [OPTION.messageType, Uint8Array.of(each)] as const);
const message: fc.Arbitrary<DhcpMessage> = fc.record({
  op: fc.constantFrom(1, 1, 1, 2) as fc.Arbitrary<1 | 2>,
  htype: fc.constantFrom(1, 1, 1, 6),
  hops: fc.constantFrom(0, 1, 16, 17, 255),
  xid: fc.integer({ min: 0, max: 0xffffffff }),
  secs: fc.integer({ min: 0, max: 0xffff }),
  flags: fc.integer({ min: 0, max: 0xffff }),
  ciaddr: address.map(ip),
  yiaddr: address.map(ip),
  siaddr: address.map(ip),
  giaddr: fc.oneof({ weight: 3, arbitrary: fc.constant(UNSPECIFIED) }, address.map(ip)),
  chaddr,
  sname: fc.string({ unit: 'binary-ascii', maxLength: 64 }),
  file: fc.string({ unit: 'binary-ascii', maxLength: 128 }),
  options: fc
    .tuple(type, fc.array(fc.tuple(code, value), { maxLength: 10 }))
    .map(([first, rest]) => new Map([...rest, first])),
});
const arrival: fc.Arbitrary<Arrival> = fc.record({
  interface: fc.constantFrom('rack0', 'rack0', 'rack0', 'none'),
  source: fc.record({ address: address.map(ip), port: fc.constantFrom(67, 68, 4011, 1) }),
  localPort: fc.constantFrom(67, 67, 67, 4011) as fc.Arbitrary<67 | 4011>,
});

test('any message is decided on; a reply can be written, repeats xid, chaddr and giaddr, and stays on our networks', () => {
  fc.assert(
    fc.property(
      message,
      arrival,
      fc.constantFrom(...POLICIES),
      fc.constantFrom(RELAYED, PROXY),
      (asked, via, policy, network) => {
        const nodes = [node(PI4, { mac: mac(PI4.mac) }), node(ROM3, { ip: ip('192.168.172.30') })];
        const view = viewOf({ network, nodes, policy, generations, httpPort: 80 });
        const decision = decide(asked, via, view, new MemoryLeases(), NOW);
        if (decision.kind !== 'reply') return assert.notEqual(decision.reason, '');
        const reply = decodeMessage(encodeMessage(decision.message));
        assert.deepEqual(
          [reply.op, reply.xid, reply.chaddr, reply.giaddr, reply.hops],
          [2, asked.xid, asked.chaddr, asked.giaddr, 0],
        );
        assert.deepEqual(reply.options.get(82), asked.options.get(82));
        const to = decision.destination.address;
        assert.ok(to === '255.255.255.255' || /^(192\.168\.172|10\.1\.2)\./.test(to), to);
        if (network.dhcp !== 'proxy') return;
        assert.equal(reply.yiaddr, '0.0.0.0');
        assert.deepEqual(decision.leaseChanges, []);
        for (const option of [51, 1, 3, 6, 58, 59]) assert.ok(!reply.options.has(option), `option ${option}`);
      },
    ),
    { numRuns: 3000 },
  );
});

/** Clients 0-4 are nodes with Linux, 5-9 Pi 3 nodes, which take an offer for a lease; the others are strangers. */
const CLIENTS = 24;
const macOf = (client: number): Mac => macFromBytes(Uint8Array.of(0xb8, 0x27, 0xeb, 0, 0, client));
const isNode = (client: number) => client < 10;
const isPi3 = (client: number) => client >= 5 && client < 10;
const serialOf = (client: number) => `0000000${client}`.slice(-8);

const event = fc.record({
  client: fc.integer({ min: 0, max: CLIENTS - 1 }),
  action: fc.constantFrom(
    ...([
      'discover',
      'discover',
      'select',
      'select',
      'renew',
      'renew',
      'reboot',
      'release',
      'decline',
    ] as const),
    ...(['steal', 'other server', 'wait', 'restart'] as const),
  ),
  isFar: fc.boolean(),
  number: fc.integer({ min: 0, max: 3600 }),
});

test('no address is used by two machines, whatever they do, however long they wait, and through restarts', async () => {
  const nodes = Array.from({ length: 10 }, (_, client) =>
    node(
      { ...PI4, serial: serialOf(client) },
      { mac: macOf(client), ...(client === 2 ? { ip: ip('192.168.172.50') } : {}) },
    ),
  );
  const view = viewOf({ network: RELAYED, nodes });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 100, maxLength: 600 }), async (events) => {
      const store = new MemoryStore();
      let leases = new LeaseTable(store);
      let written: Promise<void> | undefined;
      /** What each machine uses, and until when it may: the kernel of a node never renews, and never stops. */
      const uses = new Map<number, { address: string; until: number }>();
      const offered = new Map<number, string>();
      let now = NOW;
      for (const { client, action, isFar, number } of events) {
        if (action === 'wait') {
          now += number * 60_000;
          continue;
        }
        if (action === 'restart') {
          await written; // no reply has left before that
          leases = new LeaseTable(store);
          continue;
        }
        const mine = uses.get(client);
        const pool = isFar ? '10.1.2.' : '192.168.172.';
        const any = `${pool}${98 + (number % 14)}`;
        const giaddr = isFar ? ip('10.1.2.1') : UNSPECIFIED;
        const us = [OPTION.serverIdentifier, ipv4ToBytes(SERVER)] as const;
        const them = [OPTION.serverIdentifier, ipv4ToBytes(ip('192.168.172.2'))] as const;
        const want = (wanted: string) => [OPTION.requestedIpAddress, ipv4ToBytes(ip(wanted))] as const;
        const base = { chaddr: macOf(client), giaddr };
        const discover = isPi3(client)
          ? { ...decodeMessage(ROM3.bytes), ...base }
          : plain('discover', base, number % 2 === 0 ? [want(any)] : []);
        const arrives = {
          discover,
          select: plain('request', base, [us, want(offered.get(client) ?? any)]),
          renew: plain('request', { chaddr: base.chaddr, ciaddr: ip(mine?.address ?? any) }),
          reboot: plain('request', base, [want(mine?.address ?? any)]),
          release: plain('release', { chaddr: base.chaddr, ciaddr: ip(mine?.address ?? any) }, [us]),
          decline: plain('decline', base, [us, want(mine?.address ?? any)]),
          steal: plain('request', base, [us, want(any)]),
          'other server': plain('request', base, [them, want(any)]),
        }[action];
        const source = arrives.ciaddr === UNSPECIFIED ? giaddr : arrives.ciaddr;
        const decision = decide(
          arrives,
          { ...ARRIVAL, source: { address: source, port: 68 } },
          view,
          leases,
          now,
        );
        if (arrives === discover || action === 'release' || action === 'decline') uses.delete(client);
        if (decision.kind === 'ignore') continue;
        written = leases.commit(decision.leaseChanges) ?? written;
        if (number % 2 === 0) await written; // else the disk is slow
        if (decision.kind === 'silent') continue;
        const { yiaddr } = decision.message;
        if (decision.type === 'nak') {
          uses.delete(client);
          continue;
        }
        assert.ok(!['192.168.172.1', '192.168.172.254', '10.1.2.1'].includes(yiaddr));
        for (const [other, { address: used, until }] of uses)
          assert.ok(other === client || used !== yiaddr || until <= now, `${yiaddr}: ${other} and ${client}`);
        offered.set(client, yiaddr);
        if (decision.type === 'ack')
          uses.set(client, {
            address: yiaddr,
            until: isNode(client) ? Number.POSITIVE_INFINITY : now + 43_200_000,
          });
        else if (isPi3(client)) uses.set(client, { address: yiaddr, until: now + 5 * 60_000 });
      }
    }),
    { numRuns: 150 },
  );
});

test('a pool that strangers flood: whoever has an address renews it, and a node that is new gets one', () => {
  const stranger = fc.record({
    tail: fc.integer({ min: 0, max: 0xffff }),
    action: fc.constantFrom('discover', 'discover', 'discover', 'select'),
    number: fc.integer({ min: 0, max: 9 }),
  });
  fc.assert(
    fc.property(
      fc.array(stranger, { minLength: 50, maxLength: 200 }),
      fc.integer({ min: 0, max: 5 }),
      (strangers, many) => {
        const view = viewOf({ nodes: [node(PI4, { mac: mac(PI4.mac) })] });
        const leases = new LeaseTable(new MemoryStore());
        const say = (arrives: DhcpMessage, now: number) => {
          const decision = decide(arrives, ARRIVAL, view, leases, now);
          if (decision.kind !== 'ignore') void leases.commit(decision.leaseChanges);
          return decision;
        };
        const us = [OPTION.serverIdentifier, ipv4ToBytes(SERVER)] as const;
        const holders = Array.from({ length: many }, (_, client) => {
          const offer = say(plain('discover', { chaddr: macOf(client) }), NOW);
          assert.ok(offer.kind === 'reply');
          const want = [OPTION.requestedIpAddress, ipv4ToBytes(offer.message.yiaddr)] as const;
          const ack = say(plain('request', { chaddr: macOf(client) }, [us, want]), NOW);
          assert.ok(ack.kind === 'reply' && ack.type === 'ack');
          return { chaddr: macOf(client), ciaddr: ack.message.yiaddr };
        });
        for (const { tail, number } of strangers)
          say(
            plain('discover', {
              chaddr: macFromBytes(Uint8Array.of(2, 0, 0, number, tail >> 8, tail & 255)),
            }),
            NOW + 1000,
          );
        for (const holder of holders) {
          const renewed = say(plain('request', holder), NOW + 2000);
          assert.ok(renewed.kind === 'reply' && renewed.type === 'ack');
        }
        const fresh = say(plain('discover', { chaddr: mac(PI4.mac) }), NOW + 3000);
        assert.ok(fresh.kind === 'reply', 'the node gets an address');
        assert.ok(!holders.some(({ ciaddr }) => fresh.kind === 'reply' && ciaddr === fresh.message.yiaddr));
      },
    ),
    { numRuns: 40 },
  );
});
