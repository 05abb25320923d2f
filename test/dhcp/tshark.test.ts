import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Arrival } from '../../src/dhcp/decision.ts';
import { OPTION } from '../../src/dhcp/options.ts';
import { type DhcpMessage, decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { ipv4ToBytes } from '../../src/net/ipv4.ts';
import { sampleGeneration } from '../boot/sample-view.ts';
import { BOOT_CLIENTS, dhcp } from '../fuzz/corpus.ts';
import { dissectDatagrams, isTsharkInstalled } from '../rack/wireshark.ts';
import { FIRMWARES, hex } from './fixtures/discovers.ts';
import {
  ask,
  FULL,
  from,
  ip,
  mac,
  node,
  PROXY,
  plain,
  replyOf,
  SERVER,
  type World,
} from './fixtures/world.ts';

// A foreign witness for every kind of reply: Wireshark's dissector reads it and has nothing to complain of.

const skip = isTsharkInstalled ? false : 'tshark is not installed';

const PC = mac('52:54:00:ba:d0:01');
const LOADERS = { 'undionly.kpxe': 70_000, 'snponly.efi': 200_000, 'ipxe-arm64.efi': 200_000 };
const world = (network: World['network'], image: string): World => ({
  ...(network ? { network } : {}),
  httpPort: 80,
  nodes: [
    ...FIRMWARES.map((firmware) => node(firmware)),
    node({ ...(FIRMWARES[2] as (typeof FIRMWARES)[number]), serial: 'ab000077' }, { mac: PC, image }),
  ],
  generations: ['web', image].map((name) => ({
    ...sampleGeneration(name, LOADERS, '/var/lib/netboot/generations/one'),
    arch: name === 'pc' ? 'amd64' : 'arm64',
  })),
});

interface Case {
  readonly name: string;
  readonly given: World;
  readonly arrives: DhcpMessage;
  readonly arrival?: Partial<Arrival>;
}

const requested = [OPTION.requestedIpAddress, ipv4ToBytes(ip('192.168.172.100'))] as const;
const server = [OPTION.serverIdentifier, ipv4ToBytes(SERVER)] as const;
const relay = [OPTION.relayAgentInformation, hex('0104 00000001 0206 525400000001')] as const;
const at4011: Partial<Arrival> = { localPort: 4011, source: { address: ip('192.168.172.77'), port: 4011 } };
const imageOf = (name: string): string => (name.includes('arm64') ? 'arm' : 'pc');

const cases: readonly Case[] = [
  ...FIRMWARES.flatMap((firmware) => [
    { name: `OFFER to ${firmware.name}`, given: world(FULL, 'pc'), arrives: from(firmware) },
    {
      name: `ACK to ${firmware.name}`,
      given: world(FULL, 'pc'),
      arrives: from(firmware, 'request', [server, requested]),
    },
    { name: `proxy OFFER to ${firmware.name}`, given: world(PROXY, 'pc'), arrives: from(firmware) },
    {
      name: `OFFER to ${firmware.name} through a relay`,
      given: world(FULL, 'pc'),
      arrives: { ...from(firmware, 'discover', [relay]), giaddr: ip('192.168.172.2'), hops: 1 },
    },
  ]),
  ...[...BOOT_CLIENTS].flatMap(([name, options]) => {
    const given = world(FULL, imageOf(name));
    const discover = decodeMessage(dhcp('discover', options));
    const request = decodeMessage(dhcp('request', [...options, server, requested]));
    return [
      { name: `OFFER to ${name}`, given, arrives: discover },
      { name: `ACK to ${name}`, given, arrives: request },
    ];
  }),
  ...[...BOOT_CLIENTS].flatMap(([name, options]) => {
    if (name.startsWith('U-Boot')) return []; // it takes its boot file from the server that gives the address
    const given = world(PROXY, imageOf(name));
    const discover = decodeMessage(dhcp('discover', options));
    const request = decodeMessage(dhcp('request', options, { ciaddr: ip('192.168.172.77') }));
    return [
      { name: `proxy OFFER to ${name}`, given, arrives: discover },
      ...(name.startsWith('HTTP')
        ? []
        : [{ name: `ACK on 4011 to ${name}`, given, arrives: request, arrival: at4011 }]),
    ];
  }),
  { name: 'OFFER to a laptop', given: {}, arrives: plain('discover') },
  { name: 'ACK to a laptop', given: {}, arrives: plain('request', {}, [server, requested]) },
  { name: 'ACK of settings', given: {}, arrives: plain('inform', { ciaddr: ip('192.168.172.7') }) },
  { name: 'NAK', given: {}, arrives: plain('request', {}, [server, [50, hex('0a000003')]]) },
  {
    name: 'NAK through a relay',
    given: {},
    arrives: plain('request', { giaddr: ip('192.168.172.2') }, [server, [50, hex('0a000003')], relay]),
  },
];

test('Wireshark reads every kind of reply without a complaint', { skip }, async () => {
  const replies = cases.map(({ given, arrives, arrival }) => replyOf(ask(given, arrives, arrival)));
  const datagrams = replies.map(({ message, destination }, index) => ({
    sourcePort: cases[index]?.arrival?.localPort ?? 67,
    destinationPort: destination.port,
    payload: encodeMessage(message),
  }));
  const dissected = await dissectDatagrams(
    datagrams,
    'dhcp.option.dhcp',
    'dhcp.option.agent_information_option.agent_circuit_id',
  );
  assert.equal(dissected.length, cases.length);
  const TYPES = { offer: '2', ack: '5', nak: '6' };
  for (const [index, { complaints, fields }] of dissected.entries()) {
    const { name = '', arrives } = cases[index] ?? {};
    assert.deepEqual(complaints, [], name);
    assert.equal(fields[0], TYPES[replies[index]?.type as keyof typeof TYPES], name);
    const echoed = arrives?.options.get(OPTION.relayAgentInformation);
    assert.equal(fields[1] !== '', echoed !== undefined, `${name}: option 82`);
  }
});

test('it reads the menu and option 66 as a Pi does', { skip }, async () => {
  const offers = [FULL, PROXY].flatMap((network) =>
    FIRMWARES.map((firmware) => replyOf(ask({ network, nodes: [node(firmware)] }, from(firmware))).message),
  );
  const datagrams = offers.map((message) => ({
    ...{ sourcePort: 67, destinationPort: 68 },
    payload: encodeMessage(message),
  }));
  const names = ['dhcp.option.tftp_server_name', 'dhcp.option.vendor.pxeclient.boot_menu.desc'];
  for (const { fields } of await dissectDatagrams(datagrams, ...names))
    assert.deepEqual(fields, [SERVER, 'Raspberry Pi Boot   ']);
});

test('it does complain of an option of the wrong length', { skip }, async () => {
  const payload = encodeMessage(plain('discover', {}, [[54, Uint8Array.of(192, 168, 172)]]));
  const [found] = await dissectDatagrams([{ sourcePort: 68, destinationPort: 67, payload }]);
  assert.equal(found?.complaints.length, 1);
});
