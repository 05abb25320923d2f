import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Arrival } from '../../src/dhcp/decision.ts';
import { type MessageType, OPTION, textBytes } from '../../src/dhcp/options.ts';
import { decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { readBootItem } from '../../src/dhcp/pxe.ts';
import { sampleGeneration } from '../boot/sample-view.ts';
import { hex, PI4 } from './fixtures/discovers.ts';
import { ask, from, ip, mac, node, PROXY, plain, replyOf, SERVER } from './fixtures/world.ts';

// PXE 2.1: UEFI has its address from the other server and asks port 4011 what to load (boot server discovery).

const MAC = mac(PI4.mac);
const CLIENT = ip('192.168.172.77');
const GUID = hex('00 4c4c4544 00513710 8033b7c0 4f4d3132');
const LOADERS = { 'ipxe-arm64.efi': 10, 'snponly.efi': 10 };
const world = {
  network: PROXY,
  nodes: [node(PI4, { mac: MAC })],
  generations: [sampleGeneration('web', LOADERS, '/generations/web')],
};
const ON_4011: Partial<Arrival> = { localPort: 4011, source: { address: CLIENT, port: 4011 } };

function uefi(
  type: MessageType,
  more: ReadonlyArray<readonly [number, Uint8Array]> = [],
  fields: { ciaddr?: typeof CLIENT; flags?: number } = {},
) {
  return plain(type, { chaddr: MAC, ...fields }, [
    [OPTION.clientArch, hex('000b')],
    [OPTION.clientNetworkInterface, hex('010300')],
    [OPTION.clientMachineId, GUID],
    [OPTION.vendorClass, textBytes('PXEClient:Arch:00011:UNDI:003000')],
    ...more,
  ]);
}
const item = (bytes: string) => [OPTION.vendorSpecific, hex(bytes)] as const;

test('UEFI’s DISCOVER: a proxy offer with file and siaddr, by broadcast, and no menu (checklist 15, 60)', () => {
  const { type, message, destination, delayMs } = replyOf(
    ask(world, uefi('discover', [], { flags: 0x8000 })),
  );
  assert.deepEqual([type, delayMs], ['offer', 0]);
  assert.equal(message.file, `${PI4.serial}/ipxe-arm64.efi`);
  assert.deepEqual([message.siaddr, message.yiaddr], [SERVER, '0.0.0.0']);
  assert.deepEqual(message.options.get(OPTION.vendorSpecific), hex('060108ff'));
  assert.deepEqual(message.options.get(OPTION.clientMachineId), GUID);
  assert.deepEqual(message.options.get(OPTION.vendorClass), textBytes('PXEClient'));
  assert.deepEqual(destination, { address: '255.255.255.255', port: 68 });
  for (const code of [51, 1, 3, 6]) assert.ok(!message.options.has(code));
});

for (const type of ['request', 'inform'] as const) {
  for (const port of [68, 4011]) {
    test(`UEFI’s ${type.toUpperCase()} to port 4011 from port ${port}: an ACK with the file, to there (checklist 17, 60)`, () => {
      const source = { address: CLIENT, port };
      const reply = replyOf(ask(world, uefi(type, [], { ciaddr: CLIENT }), { localPort: 4011, source }));
      assert.equal(reply.type, 'ack');
      assert.deepEqual(reply.destination, source);
      assert.equal(reply.message.file, `${PI4.serial}/ipxe-arm64.efi`);
      assert.deepEqual([reply.message.siaddr, reply.message.yiaddr], [SERVER, '0.0.0.0']);
      assert.equal(reply.message.ciaddr, CLIENT);
      assert.equal(reply.message.flags, 0, 'it has an address');
      assert.deepEqual(reply.leaseChanges, []);
    });
  }
}

test('the item of a boot menu that it asks for is repeated in the ACK, byte by byte', () => {
  const asked = uefi('request', [item('47 04 0000 0000 ff')], { ciaddr: CLIENT });
  const { message } = replyOf(ask(world, decodeMessage(encodeMessage(asked)), ON_4011));
  assert.deepEqual(message.options.get(OPTION.vendorSpecific), hex('060108 4704 00000000 ff'));
});

const ITEMS = [
  { name: 'between others, a pad before it', given: '06 01 03 00 47 04 8001 0002 ff', expect: '80010002' },
  { name: 'of another length', given: '47 03 000000 ff', expect: undefined },
  { name: 'cut off', given: '47 04 0000', expect: undefined },
  { name: 'after the end', given: 'ff 47 04 00000000', expect: undefined },
  { name: 'none', given: '06 01 08 ff', expect: undefined },
  { name: 'nothing at all', given: '', expect: undefined },
  { name: 'behind a length that lies', given: '06 ff 47 04 00000000', expect: undefined },
];
for (const { name, given, expect } of ITEMS) {
  test(`a boot item: ${name}`, () =>
    assert.deepEqual(readBootItem(hex(given)), expect === undefined ? undefined : hex(expect)));
}

test('no answer leaves for an address outside the network, whatever port 4011 was asked from', () => {
  const source = { address: ip('8.8.8.8'), port: 53 };
  const { destination } = replyOf(ask(world, uefi('request'), { localPort: 4011, source }));
  assert.deepEqual(destination, { address: '255.255.255.255', port: 68 });
});

const SILENT = [
  { name: 'UEFI’s DISCOVER on 4011', arrives: uefi('discover'), arrival: ON_4011 },
  { name: 'UEFI’s REQUEST on 67, which is for the other server', arrives: uefi('request'), arrival: {} },
  { name: 'UEFI’s INFORM on 67', arrives: uefi('inform', [], { ciaddr: CLIENT }), arrival: {} },
  { name: 'a kernel on 4011', arrives: plain('request', { chaddr: MAC }), arrival: ON_4011 },
  { name: 'RELEASE', arrives: uefi('release', [], { ciaddr: CLIENT }), arrival: {} },
  { name: 'DECLINE on 4011', arrives: uefi('decline'), arrival: ON_4011 },
];
for (const { name, arrives, arrival } of SILENT) {
  test(`silent to ${name}`, () => assert.equal(ask(world, arrives, arrival).kind, 'ignore'));
}

test('a Pi, its UEFI and its kernel, one MAC: the Pi’s menu, a boot file, silence (checklist 5, 6, 16)', () => {
  const answers = [from(PI4), uefi('discover'), plain('discover', { chaddr: MAC })].map((message) => {
    const decision = ask(world, message);
    return decision.kind === 'reply' ? decision.message.file || 'menu' : 'silence';
  });
  assert.deepEqual(answers, ['menu', `${PI4.serial}/ipxe-arm64.efi`, 'silence']);
});
