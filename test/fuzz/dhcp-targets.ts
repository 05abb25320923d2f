import { isDeepStrictEqual } from 'node:util';
import type { Arrival } from '../../src/dhcp/decision.ts';
import { decodeMachineId } from '../../src/dhcp/machine-id.ts';
import { type DhcpMessage, decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { WireError } from '../../src/net/bytes.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { FIRMWARES, PI4, ROM3 } from '../dhcp/fixtures/discovers.ts';
import { ask, FULL, ip, lease, node, PROXY, type World } from '../dhcp/fixtures/world.ts';
import { BOOT_CLIENTS, DHCP_REPLIES, DHCP_REQUESTS } from './corpus.ts';
import { check, refusing, type Target } from './target.ts';

/** What a reply says beyond its question: addresses, times, names, the boot menu. More would make us an amplifier. */
const REPLY_ROOM = 600;
const SHORTEST_REPLY = 300;

const nodes = FIRMWARES.map((firmware, index) => node(firmware, { ip: ip(`192.168.172.${20 + index}`) }));
const leases = [lease('192.168.172.100', PI4.mac), lease('192.168.172.101', ROM3.mac, { state: 'offered' })];
const client = { address: '192.168.172.150' as Ipv4, port: 68 };
const worlds: ReadonlyArray<readonly [World, Partial<Arrival>]> = [
  [{ network: FULL, nodes, leases }, {}],
  [{ network: FULL, nodes: [], policy: { unknown: 'ignore' } }, { source: client }],
  [{ network: { ...FULL, address: '192.168.172.17' as Ipv4 }, nodes, leases }, { source: client }],
  [{ network: PROXY, nodes }, {}],
  [{ network: PROXY, nodes: [], policy: { unknown: 'serve', defaultImage: 'web' } }, { localPort: 4011 }],
  [
    { network: FULL, nodes },
    { localPort: 4011, source: { ...client, port: 4011 } },
  ],
];

export const DHCP_TARGETS: readonly Target[] = [
  {
    name: 'dhcp-packet',
    seeds: [...DHCP_REQUESTS, ...DHCP_REPLIES],
    read(input) {
      const message = refusing([WireError], () => decodeMessage(input));
      if (message) survivesTheWire(message);
    },
  },
  {
    name: 'dhcp-decide',
    seeds: DHCP_REQUESTS,
    read(input) {
      const message = refusing([WireError], () => decodeMessage(input));
      if (!message) return;
      for (const [world, arrival] of worlds) {
        const decision = ask(world, message, arrival);
        if (decision.kind !== 'reply') continue;
        const bytes = encodeMessage(decision.message);
        const room = Math.max(SHORTEST_REPLY, input.length) + REPLY_ROOM;
        check(bytes.length <= room, `a reply of ${bytes.length} bytes to ${input.length}`);
        survivesTheWire(decision.message);
        check(decision.delayMs >= 0 && decision.delayMs <= 4_000, `a delay of ${decision.delayMs} ms`);
        for (const { kind } of decision.leaseChanges) check(kind === 'put' || kind === 'remove', kind);
      }
    },
  },
  {
    name: 'dhcp-machine-id',
    seeds: [...FIRMWARES.map(({ bytes }) => guidOf(bytes)), ...BOOT_CLIENTS.values().map(guidOfClient)],
    read(input) {
      const id = decodeMachineId(input);
      if ('serial' in id) check(/^[0-9a-f]{8}$/.test(id.serial), `the serial ${id.serial}`);
    },
  },
];

/** Encoded and decoded again it is the same, but for the order of options: 82 goes last. */
function survivesTheWire(message: DhcpMessage): void {
  const again = decodeMessage(encodeMessage(message));
  check(
    isDeepStrictEqual(comparable(again), comparable(message)),
    'decode(encode(message)) is another message',
  );
}

function comparable({ options, ...header }: DhcpMessage): unknown {
  const sorted = [...options].toSorted(([one], [other]) => one - other);
  return [header, sorted.map(([code, value]) => [code, Buffer.from(value).toString('hex')])];
}

function guidOf(discover: Uint8Array): Uint8Array {
  return decodeMessage(discover).options.get(97) ?? new Uint8Array();
}

function guidOfClient(options: ReadonlyArray<readonly [number, Uint8Array]>): Uint8Array {
  return new Map(options).get(97) ?? new Uint8Array();
}
