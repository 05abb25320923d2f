import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPTION, textBytes } from '../../src/dhcp/options.ts';
import { encodeMessage } from '../../src/dhcp/packet.ts';
import { FIRMWARES, hex, PI4, PI5, ROM3, ROM3_PLUS } from './fixtures/discovers.ts';
import {
  ask,
  FULL,
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
  serial,
} from './fixtures/world.ts';

const codes = (options: ReadonlyMap<number, Uint8Array>) => [...options.keys()];
const LEASE_AND_NETWORK = [53, 54, 51, 58, 59, 1, 28, 3, 6];
const BOOT = [60, 66, 97, 43];

test('the OFFER to a known Pi 4, byte by byte (checklist 9, 12, 13)', () => {
  const world = { nodes: [node(PI4, { name: 'web-1', ip: ip('192.168.172.21') })] };
  const reply = replyOf(ask(world, from(PI4)));
  const expected = hex(`
    02 01 06 00 6a0b1c2d 0000 0000 00000000 c0a8ac15 c0a8ac01 00000000
    dca632b023c3 ${'00'.repeat(10)} ${'00'.repeat(192)} 63825363
    35 01 02  36 04 c0a8ac01
    33 04 0000a8c0  3a 04 00005460  3b 04 000093a8
    01 04 ffffff00  1c 04 c0a8acff  03 04 c0a8acfe  06 08 c0a8ac01 09090909
    0c 05 7765622d31
    3c 09 505845436c69656e74
    42 0d 3139322e3136382e3137322e31
    61 11 00 52506934 1431d000 32b023c3 d80092e0
    2b 23 06 01 03 0a 04 00 50 58 45 09 17 00 00 14
          52 61 73 70 62 65 72 72 79 20 50 69 20 42 6f 6f 74 20 20 20 ff
    ff`);
  assert.deepEqual(encodeMessage(reply.message), expected);
  assert.deepEqual(reply.destination, { address: '255.255.255.255', port: 68 });
});

for (const firmware of FIRMWARES) {
  test(`${firmware.name}: served when it was added, only an address when not`, () => {
    const served = replyOf(ask({ nodes: [node(firmware)] }, from(firmware))).message;
    assert.equal(served.siaddr, SERVER);
    assert.deepEqual(codes(served.options), [...LEASE_AND_NETWORK, 12, ...BOOT]);
    assert.deepEqual(served.options.get(97), from(firmware).options.get(97), '97 is echoed');

    const held = replyOf(ask({ policy: { unknown: 'hold' } }, from(firmware))).message;
    assert.equal(held.siaddr, '0.0.0.0');
    assert.deepEqual(codes(held.options), LEASE_AND_NETWORK);

    const serve = { policy: { unknown: 'serve', defaultImage: 'web' } } as const;
    assert.equal(replyOf(ask(serve, from(firmware))).message.siaddr, SERVER);

    const ignored = ask({ policy: { unknown: 'ignore' } }, from(firmware));
    assert.equal(ignored.kind, 'ignore');
  });
}

test('only the reply to a 3B mask ROM is delayed (checklist 19)', () => {
  const delays = FIRMWARES.map(
    (firmware) => replyOf(ask({ nodes: [node(firmware)] }, from(firmware))).delayMs,
  );
  assert.deepEqual(delays, [1000, 0, 0, 0]);
});

test('a Pi that boots holds its offer for a boot, a laptop for a minute (checklist 20)', () => {
  const put = (decision: ReturnType<typeof ask>) => replyOf(decision).leaseChanges[0];
  const pi = put(ask({ nodes: [node(PI4)] }, from(PI4)));
  assert.ok(pi?.kind === 'put');
  assert.deepEqual(
    { ...pi.lease, address: undefined },
    {
      address: undefined,
      mac: PI4.mac,
      interface: 'rack0',
      state: 'offered',
      expiresAt: NOW + 600_000,
      serial: PI4.serial,
      hostname: `node-${PI4.serial}`,
    },
  );
  const laptop = put(ask({}, plain('discover', {}, [[OPTION.hostName, textBytes('paul')]])));
  assert.ok(laptop?.kind === 'put');
  assert.deepEqual(
    { ...laptop.lease, address: undefined },
    {
      address: undefined,
      mac: LAPTOP,
      interface: 'rack0',
      state: 'offered',
      expiresAt: NOW + 60_000,
      hostname: 'paul',
    },
  );
});

test('a DISCOVER never shortens or weakens the lease its sender has', () => {
  const bound = lease('192.168.172.103', PI4.mac, { serial: serial(PI4.serial) });
  const reply = replyOf(ask({ leases: [bound] }, plain('discover', { chaddr: mac(PI4.mac) })));
  assert.deepEqual(reply.leaseChanges, [{ kind: 'put', lease: bound, volatile: true }]);
});

test('firmware, kernel and system of one Pi get one address, whatever option 61 says (checklist 21)', () => {
  const kernel = plain('discover', { chaddr: mac(PI4.mac) }, [
    [OPTION.clientIdentifier, hex('ff 01020304 0001 aabb')],
  ]);
  const firmware = replyOf(ask({ nodes: [node(PI4)] }, from(PI4)));
  const held = firmware.leaseChanges.flatMap((change) => (change.kind === 'put' ? [change.lease] : []));
  const second = replyOf(ask({ nodes: [node(PI4)], leases: held }, kernel));
  assert.equal(second.message.yiaddr, firmware.message.yiaddr);
  assert.deepEqual(
    codes(second.message.options),
    [...LEASE_AND_NETWORK, 12, 61],
    'no boot options; 61 echoed (RFC 6842)',
  );
  const [change] = second.leaseChanges;
  assert.equal(
    change?.kind === 'put' && change.lease.serial,
    PI4.serial,
    'the serial told by the firmware stays',
  );
});

const NOT_PIS = [
  { name: 'BIOS PXE', vendorClass: 'PXEClient:Arch:00000:UNDI:002001' },
  { name: 'EDK2', vendorClass: 'PXEClient:Arch:00011:UNDI:003000' },
  { name: 'HTTP boot', vendorClass: 'HTTPClient:Arch:00019:UNDI:003000' },
  { name: 'U-Boot', vendorClass: 'U-Boot.armv8' },
];

for (const { name, vendorClass } of NOT_PIS) {
  test(`${name}: an address, and never the Pi's menu`, () => {
    const message = plain('discover', {}, [[OPTION.vendorClass, textBytes(vendorClass)]]);
    const world = { nodes: [node(PI4)], policy: { unknown: 'serve', defaultImage: 'web' } } as const;
    assert.deepEqual(codes(replyOf(ask(world, message)).message.options), [...LEASE_AND_NETWORK, 12]);
    assert.equal(ask({ policy: { unknown: 'ignore' } }, message).kind, 'ignore');
  });
}

test('a client that does not ask to boot gets an address, whatever is said of unknown Pis', () => {
  for (const unknown of ['hold', 'serve', 'ignore'] as const) {
    assert.equal(ask({ policy: { unknown } }, plain('discover')).kind, 'reply');
  }
});

test('through a relay of our subnet: back to the relay, option 82 last (checklist 8)', () => {
  const relayed = plain('discover', { giaddr: ip('192.168.172.2'), hops: 1 }, [
    [82, hex('0101 07')],
    [61, hex('01')],
  ]);
  const { message, destination } = replyOf(ask({}, relayed));
  assert.deepEqual(destination, { address: '192.168.172.2', port: 67 });
  assert.equal(message.giaddr, '192.168.172.2');
  assert.equal(message.hops, 0);
  assert.deepEqual(codes(message.options).at(-1), 82);
  assert.deepEqual(message.options.get(82), hex('0101 07'));
});

test('a full pool is silence with a warning that names the interface', () => {
  const network = { ...FULL, pool: { first: ip('192.168.172.100'), last: ip('192.168.172.100') } };
  const decision = ask({ network, leases: [lease('192.168.172.100', PI5.mac)] }, plain('discover'));
  assert.equal(decision.kind, 'ignore');
  assert.match(decision.warning ?? '', /No address of "rack0" is free/);
});

test('a reserved address that another machine holds: an address of the pool, and a warning', () => {
  const reserved = ip('192.168.172.21');
  const world = { nodes: [node(PI4, { ip: reserved })], leases: [lease(reserved, LAPTOP)] };
  const decision = replyOf(ask(world, from(PI4)));
  assert.notEqual(decision.message.yiaddr, reserved);
  assert.match(decision.warning ?? '', /reserved address 192\.168\.172\.21: 3c:22:fb:01:02:03 holds it/);
});

test('a reserved address that a node still has, its lease expired: the same, and the warning names the holder', () => {
  const taken = ip('192.168.172.21');
  const nodes = [node(PI4, { ip: taken }), node(PI5, { mac: mac(PI5.mac) })];
  const decision = replyOf(
    ask({ nodes, leases: [lease(taken, PI5.mac, { expiresAt: NOW - 1 })] }, from(PI4)),
  );
  assert.notEqual(decision.message.yiaddr, taken);
  assert.match(decision.warning ?? '', new RegExp(`${PI5.mac} holds it`));
});

const declined = (address: string, more: ReadonlyArray<readonly [number, Uint8Array]> = []) =>
  plain('decline', { chaddr: mac(PI4.mac) }, [
    [OPTION.requestedIpAddress, Uint8Array.from(address.split('.'), Number)],
    ...more,
  ]);

test('DECLINE: the address rests for ten minutes, and a reservation is not lost without a word', () => {
  const held = lease('192.168.172.21', PI4.mac, { serial: serial(PI4.serial) });
  const nodes = [node(PI4, { name: 'web-1', mac: mac(PI4.mac), ip: ip('192.168.172.21') })];
  const decision = ask({ nodes, leases: [held] }, declined('192.168.172.21'));
  assert.ok(decision.kind === 'silent');
  const rests = { ...held, state: 'declined', expiresAt: NOW + 600_000 } as const;
  assert.deepEqual(decision.leaseChanges, [{ kind: 'put', lease: rests }]);
  assert.match(decision.warning ?? '', /192\.168\.172\.21, reserved for "web-1"/);

  const next = replyOf(ask({ nodes, leases: [rests] }, from(PI4)));
  assert.notEqual(next.message.yiaddr, '192.168.172.21');
  assert.match(next.warning ?? '', /another machine on the wire answers for it/);
  const later = { ...rests, expiresAt: NOW };
  assert.equal(replyOf(ask({ nodes, leases: [later] }, from(PI4))).message.yiaddr, '192.168.172.21');
});

const UNJUSTIFIED = [
  { name: 'DECLINE of what it was not given', arrives: declined('192.168.172.104') },
  { name: 'DECLINE of another client’s address', arrives: declined('192.168.172.105') },
  {
    name: 'DECLINE to another server',
    arrives: declined('192.168.172.103', [[OPTION.serverIdentifier, hex('0a000001')]]),
  },
  {
    name: 'RELEASE of what it does not hold',
    arrives: plain('release', { chaddr: mac(PI4.mac), ciaddr: ip('192.168.172.105') }),
  },
  { name: 'INFORM from another network', arrives: plain('inform', { ciaddr: ip('10.0.0.9') }) },
  { name: 'INFORM without an address', arrives: plain('inform') },
  { name: 'a Pi on port 4011', arrives: from(PI4), arrival: { localPort: 4011 } as const },
];

for (const { name, arrives, arrival } of UNJUSTIFIED) {
  test(`ignored: ${name}`, () => {
    const leases = [lease('192.168.172.105', LAPTOP), lease('192.168.172.103', PI4.mac)];
    assert.equal(ask({ leases }, arrives, arrival).kind, 'ignore');
  });
}

test('RELEASE ends the lease and keeps its record', () => {
  const held = lease('192.168.172.103', LAPTOP);
  const decision = ask({ leases: [held] }, plain('release', { ciaddr: held.address }));
  assert.ok(decision.kind === 'silent');
  assert.deepEqual(decision.leaseChanges, [{ kind: 'put', lease: { ...held, expiresAt: NOW } }]);
});

test('INFORM: the settings to the address it has; no yiaddr, no lease', () => {
  const reply = replyOf(ask({}, plain('inform', { ciaddr: ip('192.168.172.7') })));
  assert.deepEqual(codes(reply.message.options), [53, 54, 1, 28, 3, 6]);
  assert.equal(reply.message.yiaddr, '0.0.0.0');
  assert.deepEqual(reply.leaseChanges, []);
  assert.deepEqual(reply.destination, { address: '192.168.172.7', port: 68 });
});

test('the kernel’s address is not its host name', () => {
  const [change] = replyOf(
    ask({}, plain('discover', {}, [[OPTION.hostName, textBytes('192.168.172.9')]])),
  ).leaseChanges;
  assert.equal(change?.kind === 'put' && change.lease.hostname, undefined);
});

test('when the reservation changes, what the client had before is given up', () => {
  const before = lease('192.168.172.103', ROM3_PLUS.mac);
  const nodes = [node(ROM3_PLUS, { ip: ip('192.168.172.30') })];
  const { leaseChanges, message } = replyOf(ask({ nodes, leases: [before] }, from(ROM3_PLUS)));
  assert.equal(message.yiaddr, '192.168.172.30');
  assert.deepEqual(leaseChanges[0], { kind: 'remove', address: before.address });
  assert.equal(leaseChanges[1]?.kind === 'put' && leaseChanges[1].lease.address, '192.168.172.30');
});

test('a 3B ROM matched by its MAC leaves its serial in the lease', () => {
  const [change] = replyOf(ask({ nodes: [node(ROM3)] }, from(ROM3))).leaseChanges;
  assert.equal(change?.kind === 'put' && change.lease.serial, ROM3.serial);
});
