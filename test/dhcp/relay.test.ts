import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Arrival } from '../../src/dhcp/decision.ts';
import { OPTION } from '../../src/dhcp/options.ts';
import { decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import type { Network } from '../../src/model/network.ts';
import { ipv4ToBytes } from '../../src/net/ipv4.ts';
import { hex, PI4, ROM3_PLUS } from './fixtures/discovers.ts';
import {
  ask,
  FULL,
  from,
  ip,
  LAPTOP,
  lease,
  mac,
  node,
  PROXY,
  plain,
  replyOf,
  SERVER,
} from './fixtures/world.ts';

// RFC 2131 sections 4.1 and 4.3.1, RFC 3046, RFC 3527, RFC 5107.

const FAR: Network = {
  ...FULL,
  subnet: { network: ip('10.1.2.0'), prefix: 24 },
  pool: { first: ip('10.1.2.100'), last: ip('10.1.2.109') },
  router: ip('10.1.2.1'),
  leaseSeconds: 600,
};
const RELAYED: Network = { ...FULL, relayed: [FAR] };
const RELAY = ip('10.1.2.1');
const bytes = (text: string) => ipv4ToBytes(ip(text));
const information = (...subOptions: ReadonlyArray<readonly [number, Uint8Array]>) =>
  [
    OPTION.relayAgentInformation,
    Uint8Array.from(subOptions.flatMap(([code, value]) => [code, value.length, ...value])),
  ] as const;
const CIRCUIT = [1, hex('00 04 07')] as const;
const FROM_RELAY: Partial<Arrival> = { source: { address: RELAY, port: 67 } };

test('what a relay adds is bounded: more than a kilobyte would make the reply more than one packet', () => {
  const request = (length: number) =>
    plain('discover', { giaddr: RELAY, hops: 1 }, [
      [OPTION.maximumMessageSize, hex('ffff')],
      [OPTION.clientIdentifier, new Uint8Array(400)],
      [OPTION.relayAgentInformation, new Uint8Array(length)],
    ]);
  const { message } = replyOf(ask({ network: RELAYED }, request(1000), FROM_RELAY));
  assert.ok(encodeMessage(message).length + 28 <= 1500);
  assert.equal(ask({ network: RELAYED }, request(1001), FROM_RELAY).kind, 'ignore');
});

test('the subnet of the relay gets addresses of its own pool, with its own settings', () => {
  const reply = replyOf(ask({ network: RELAYED }, plain('discover', { giaddr: RELAY, hops: 1 }), FROM_RELAY));
  const { message, destination } = reply;
  assert.match(message.yiaddr, /^10\.1\.2\.10\d$/);
  assert.deepEqual(message.options.get(OPTION.router), bytes('10.1.2.1'));
  assert.deepEqual(message.options.get(OPTION.subnetMask), bytes('255.255.255.0'));
  assert.deepEqual(message.options.get(OPTION.broadcastAddress), bytes('10.1.2.255'));
  assert.deepEqual(message.options.get(OPTION.ipAddressLeaseTime), hex('00000258'));
  assert.deepEqual(message.options.get(OPTION.serverIdentifier), bytes(SERVER));
  assert.deepEqual(destination, { address: RELAY, port: 67 });
  assert.deepEqual([message.giaddr, message.hops], [RELAY, 0]);
});

test('a relay on our own wire gets addresses of our own pool', () => {
  const arrives = plain('discover', { giaddr: ip('192.168.172.2'), hops: 1 });
  const { message, destination } = replyOf(ask({ network: RELAYED }, arrives));
  assert.match(message.yiaddr, /^192\.168\.172\.10\d$/);
  assert.deepEqual(destination, { address: '192.168.172.2', port: 67 });
});

test('a Pi behind a relay is told to boot from us', () => {
  const arrives = { ...from(PI4), giaddr: RELAY, hops: 1 };
  const { message } = replyOf(ask({ network: RELAYED, nodes: [node(PI4)] }, arrives, FROM_RELAY));
  assert.match(message.yiaddr, /^10\.1\.2\./);
  assert.equal(message.siaddr, SERVER);
});

test('a Pi behind a relay of a network in proxy mode is told so, too', () => {
  const { pool: _, ...far } = FAR;
  const network = { ...PROXY, relayed: [{ ...far, dhcp: 'proxy' } as Network] };
  const arrives = { ...from(PI4), giaddr: RELAY, hops: 1 };
  const { message, destination } = replyOf(ask({ network, nodes: [node(PI4)] }, arrives, FROM_RELAY));
  assert.deepEqual([message.yiaddr, message.siaddr], ['0.0.0.0', SERVER]);
  assert.deepEqual(destination, { address: RELAY, port: 67 });
});

test('a relay of a subnet that nobody configured is not answered', () => {
  const decision = ask({ network: RELAYED }, plain('discover', { giaddr: ip('10.9.9.1'), hops: 1 }));
  assert.match(decision.kind === 'ignore' ? decision.reason : '', /relay 10\.9\.9\.1 is of another network/);
});

test('what passed sixteen relays is answered, what passed more is going round in circles', () => {
  const after = (hops: number) => ask({ network: RELAYED }, plain('discover', { giaddr: RELAY, hops }));
  assert.equal(after(16).kind, 'reply');
  assert.equal(after(17).kind, 'ignore');
});

test('link selection goes before the relay’s address; the answer goes to the relay (RFC 3527)', () => {
  const options = [information(CIRCUIT, [5, bytes('10.1.2.0')])];
  const arrives = plain('discover', { giaddr: ip('192.168.172.2'), hops: 1 }, options);
  const { message, destination } = replyOf(ask({ network: RELAYED }, arrives));
  assert.match(message.yiaddr, /^10\.1\.2\.10\d$/);
  assert.deepEqual(destination, { address: '192.168.172.2', port: 67 });
});

test('a relay that we do not know is not answered, whichever link it selects', () => {
  const arrives = plain('discover', { giaddr: ip('8.8.8.8') }, [information([5, bytes('10.1.2.0')])]);
  assert.equal(ask({ network: RELAYED }, arrives).kind, 'ignore');
});

test('a link that we do not serve is not answered, though its relay is known', () => {
  const arrives = plain('discover', { giaddr: RELAY }, [information([5, bytes('10.7.0.0')])]);
  assert.equal(ask({ network: RELAYED }, arrives).kind, 'ignore');
});

for (const [name, value] of [
  ['of three bytes', '05 03 0a0102'],
  ['that runs past its option', '05 04 0a01'],
  ['whose predecessor runs past the option', '01 ff 05 04 0a010200'],
] as const) {
  test(`a link selection ${name} is none`, () => {
    const options = [[OPTION.relayAgentInformation, hex(value)] as const];
    const arrives = plain('discover', { giaddr: ip('192.168.172.2') }, options);
    assert.match(replyOf(ask({ network: RELAYED }, arrives)).message.yiaddr, /^192\.168\.172\./);
  });
}

test('a link selection without a relay is a client’s wish, and nothing to go by', () => {
  const arrives = plain('discover', {}, [information([5, bytes('10.1.2.0')])]);
  assert.match(replyOf(ask({ network: RELAYED }, arrives)).message.yiaddr, /^192\.168\.172\./);
});

test('the relay’s own name for us is in option 54, and is what its clients may call us (RFC 5107)', () => {
  const override = information([11, bytes('10.1.2.1')]);
  const offer = replyOf(ask({ network: RELAYED }, plain('discover', { giaddr: RELAY }, [override])));
  assert.deepEqual(offer.message.options.get(OPTION.serverIdentifier), bytes('10.1.2.1'));
  const request = plain('request', { giaddr: RELAY }, [
    [OPTION.serverIdentifier, bytes('10.1.2.1')],
    [OPTION.requestedIpAddress, bytes(offer.message.yiaddr)],
    override,
  ]);
  const ack = replyOf(ask({ network: RELAYED }, request));
  assert.deepEqual([ack.type, ack.message.yiaddr], ['ack', offer.message.yiaddr]);
});

test('a relayed renewal comes past the relay, from the address itself, and is answered there', () => {
  const held = lease('10.1.2.103', LAPTOP);
  const arrives = plain('request', { ciaddr: held.address });
  const arrival = { source: { address: held.address, port: 68 } };
  const reply = replyOf(ask({ network: RELAYED, leases: [held] }, arrives, arrival));
  assert.deepEqual([reply.type, reply.message.yiaddr], ['ack', held.address]);
  assert.deepEqual(reply.destination, { address: held.address, port: 68 });
  assert.deepEqual(reply.message.options.get(OPTION.router), bytes('10.1.2.1'));
});

test('a machine that was carried from behind the relay to our wire is refused its old address', () => {
  const held = lease('10.1.2.103', LAPTOP);
  const arrives = plain('request', {}, [[OPTION.requestedIpAddress, bytes('10.1.2.103')]]);
  assert.equal(replyOf(ask({ network: RELAYED, leases: [held] }, arrives)).type, 'nak');
});

test('such a machine gives up the address it had when it is offered one of its new network', () => {
  const held = lease('10.1.2.103', LAPTOP);
  const { leaseChanges, message } = replyOf(ask({ network: RELAYED, leases: [held] }, plain('discover')));
  assert.match(message.yiaddr, /^192\.168\.172\./);
  assert.deepEqual(leaseChanges[0]?.kind === 'remove' && leaseChanges[0].address, held.address);
});

test('a NAK goes to the relay, which is to broadcast it (RFC 2131 section 4.3.2)', () => {
  const arrives = plain('request', { giaddr: RELAY }, [
    [OPTION.requestedIpAddress, bytes('192.168.172.103')],
  ]);
  const { type, message, destination } = replyOf(ask({ network: RELAYED }, arrives));
  assert.deepEqual([type, message.flags, destination], ['nak', 0x8000, { address: RELAY, port: 67 }]);
});

test('a node’s reservation behind the relay is given there, and another address on our own wire', () => {
  const nodes = [node(PI4, { mac: mac(PI4.mac), ip: ip('10.1.2.21') })];
  const far = replyOf(ask({ network: RELAYED, nodes }, { ...from(PI4), giaddr: RELAY }));
  assert.equal(far.message.yiaddr, '10.1.2.21');
  const near = replyOf(ask({ network: RELAYED, nodes }, from(PI4)));
  assert.match(near.message.yiaddr, /^192\.168\.172\./);
});

for (const type of ['discover', 'request', 'inform'] as const) {
  test(`option 82 is repeated in the answer to ${type.toUpperCase()}, as the last one on the wire (checklist 8)`, () => {
    const asked = information(CIRCUIT, [2, hex('aabbccddeeff')]);
    const options = [asked, [OPTION.clientIdentifier, hex('01 aabb')] as const];
    const address = ip('192.168.172.103');
    const more = type === 'discover' ? {} : { ciaddr: address };
    const arrives = plain(type, { giaddr: ip('192.168.172.2'), ...more }, options);
    const { message } = replyOf(ask({ leases: [lease(address, LAPTOP)] }, arrives));
    const decoded = decodeMessage(encodeMessage(message));
    assert.equal([...decoded.options.keys()].at(-1), OPTION.relayAgentInformation);
    assert.deepEqual(decoded.options.get(OPTION.relayAgentInformation), asked[1]);
    assert.deepEqual(decoded.options.get(OPTION.clientIdentifier), hex('01 aabb'), 'RFC 6842');
  });
}

test('option 82 is repeated in a NAK', () => {
  const options = [information(CIRCUIT), [OPTION.requestedIpAddress, bytes('10.7.7.7')] as const];
  const { type, message } = replyOf(ask({}, plain('request', { giaddr: ip('192.168.172.2') }, options)));
  assert.equal(type, 'nak');
  assert.deepEqual(message.options.get(OPTION.relayAgentInformation), information(CIRCUIT)[1]);
});

test('an option 82 of more than 255 bytes comes back whole (RFC 3396)', () => {
  const long = information([1, new Uint8Array(250).fill(1)], [2, new Uint8Array(250).fill(2)]);
  const arrives = { ...from(ROM3_PLUS), giaddr: ip('192.168.172.2') };
  const asked = { ...arrives, options: new Map([...arrives.options, long]) };
  const { message } = replyOf(ask({ nodes: [node(ROM3_PLUS)] }, decodeMessage(encodeMessage(asked))));
  const decoded = decodeMessage(encodeMessage(message));
  assert.deepEqual(decoded.options.get(OPTION.relayAgentInformation), long[1]);
});
