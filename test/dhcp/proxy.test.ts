import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPTION, textBytes } from '../../src/dhcp/options.ts';
import { type DhcpMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { FIRMWARES, hex, PI4, ROM3 } from './fixtures/discovers.ts';
import { ask, from, ip, mac, node, PROXY, plain, replyOf } from './fixtures/world.ts';

const GUID = {
  'C-ROM3': `00 ${'44'.repeat(16)}`,
  'C-ROM3+': `00 ${'2e2a5ee7'.repeat(4)}`,
  'C-2711': '00 52506934 1431d000 32b023c3 d80092e0',
  'C-2712': '00 35695052 7041c000 67102030 e19a98bd',
} as Record<string, string>;

for (const firmware of FIRMWARES) {
  test(`the proxy OFFER to ${firmware.name}, byte by byte (checklist 9, 10, 12, 15, 17, 18)`, () => {
    const reply = replyOf(ask({ network: PROXY, nodes: [node(firmware)] }, from(firmware)));
    const expected = hex(`
      02 01 06 00 ${Buffer.from(firmware.bytes.subarray(4, 8)).toString('hex')} 0000 8000
      00000000 00000000 c0a8ac01 00000000 ${firmware.mac} ${'00'.repeat(10)} ${'00'.repeat(192)} 63825363
      35 01 02  36 04 c0a8ac01  3c 09 505845436c69656e74  42 0d 3139322e3136382e3137322e31
      61 11 ${GUID[firmware.name]}
      2b 23 06 01 03 0a 04 00 50 58 45 09 17 00 00 14
            52 61 73 70 62 65 72 72 79 20 50 69 20 42 6f 6f 74 20 20 20 ff
      ff`);
    assert.deepEqual(encodeMessage(reply.message), expected);
    assert.deepEqual(reply.destination, { address: '255.255.255.255', port: 68 });
    assert.deepEqual(reply.leaseChanges, []);
  });
}

const pxe = (vendorClass: string, type: 'discover' | 'request' = 'discover') =>
  plain(type, { chaddr: mac(PI4.mac) }, [[OPTION.vendorClass, textBytes(vendorClass)]]);

const SILENCES: ReadonlyArray<{ name: string; arrives: DhcpMessage; localPort?: 67 | 4011; says: RegExp }> = [
  { name: 'a laptop', arrives: plain('discover'), says: /does not ask to boot/ },
  {
    name: 'the kernel of a node',
    arrives: plain('discover', { chaddr: mac(PI4.mac) }),
    says: /does not ask to boot/,
  },
  {
    name: 'a renewal',
    arrives: plain('request', { ciaddr: ip('192.168.172.9') }),
    says: /does not ask to boot/,
  },
  {
    name: 'the REQUEST of a node’s firmware on 67',
    arrives: from(PI4, 'request'),
    says: /business of the other server/,
  },
  { name: 'a Pi that was not added', arrives: from(ROM3), says: /was not added/ },
  {
    name: 'a Pi that was not added, on 4011',
    arrives: from(ROM3, 'request'),
    localPort: 4011,
    says: /was not added/,
  },
  { name: 'a DISCOVER on 4011', arrives: from(PI4), localPort: 4011, says: /business of the other server/ },
  { name: 'a PC', arrives: pxe('PXEClient:Arch:00007:UNDI:003016'), says: /was not added/ },
  {
    name: 'EDK2 on a node',
    arrives: pxe('PXEClient:Arch:00011:UNDI:003000'),
    says: /was not added/,
  },
  {
    name: 'EDK2 on 4011',
    arrives: pxe('PXEClient:Arch:00011:UNDI:003000', 'request'),
    localPort: 4011,
    says: /was not added/,
  },
  { name: 'HTTP boot', arrives: pxe('HTTPClient:Arch:00019:UNDI:003000'), says: /was not added/ },
  { name: 'U-Boot', arrives: pxe('U-Boot.armv8'), says: /was not added/ },
];

for (const { name, arrives, localPort = 67, says } of SILENCES) {
  test(`silent to ${name} (checklist 16)`, () => {
    const decision = ask({ network: PROXY, nodes: [node(PI4)] }, arrives, { localPort });
    assert.ok(decision.kind === 'ignore', `answered with ${decision.kind}`);
    assert.match(decision.reason, says);
  });
}

test('a served Pi on 4011 is acknowledged where it asks from', () => {
  const source = { address: ip('192.168.172.77'), port: 4011 };
  for (const type of ['request', 'inform'] as const) {
    const reply = replyOf(
      ask({ network: PROXY, nodes: [node(PI4)] }, from(PI4, type), { localPort: 4011, source }),
    );
    assert.equal(reply.type, 'ack');
    assert.deepEqual(reply.destination, source);
    assert.deepEqual([...reply.message.options.keys()], [53, 54, 60, 66, 97, 43]);
  }
});

test('"serve" serves every Pi, also the ROM that tells no serial', () => {
  const policy = { unknown: 'serve', defaultImage: 'web' } as const;
  for (const firmware of FIRMWARES) replyOf(ask({ network: PROXY, policy }, from(firmware)));
});
