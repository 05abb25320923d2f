import type { Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { MESSAGE_TYPE, OPTION, textBytes } from '../../src/dhcp/options.ts';
import { encodeMessage } from '../../src/dhcp/packet.ts';
import { openUdp } from '../../src/host/udp.ts';
import { type Ipv4, ipv4ToBytes, UNSPECIFIED } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { decodePacket, encodePacket } from '../../src/tftp/packet.ts';

/**
 * A program: one ill-willed machine on eth0. `hostile-client.ts SERVER SEED SECONDS DHCP-DESTINATION PATHS`, the paths
 * as a JSON list. It first asks for each path over TFTP and then, for so many seconds, sends truncated, mutated and
 * random datagrams to every port of the server that answers.
 */
export type HostileReport =
  /** Before the flood, by path: the error, or the first bytes that were served, or nothing. */
  | { readonly answers: Readonly<Record<string, { error?: string; served?: string }>> }
  /** After it. */
  | { readonly sent: { readonly dhcp: number; readonly tftp: number; readonly transfer: number } };

function say(report: HostileReport): void {
  console.log(JSON.stringify(report));
}

const [server, seed, seconds, dhcpDestination, paths] = process.argv.slice(2) as [
  Ipv4,
  ...[string, string, Ipv4, string],
];

/** mulberry32: the same seed, the same attack. */
let state = Number(seed);
function random(below: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
}

function randomBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256));
}

function pick<T>(values: readonly T[]): T {
  return values[random(values.length)] as T;
}

/** Cut short, with bytes changed, with a tail of garbage, or nothing of it at all. */
function mutate(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  switch (random(4)) {
    case 0:
      return copy.subarray(0, random(copy.length));
    case 1:
      for (let count = 1 + random(8); count > 0; count--) copy[random(copy.length)] = random(256);
      return copy;
    case 2:
      return Uint8Array.of(...copy, ...randomBytes(random(600)));
    default:
      return randomBytes(random(1_472));
  }
}

const PI_OPTIONS: ReadonlyArray<[number, Uint8Array]> = [
  [OPTION.parameterRequestList, Uint8Array.of(1, 3, 43, 60, 66, 67)],
  [OPTION.clientArch, new Uint8Array(2)],
  [OPTION.clientMachineId, Uint8Array.of(0, ...textBytes('RPi4'), ...new Uint8Array(8), 1, 0, 0, 0xba)],
  [OPTION.vendorClass, textBytes('PXEClient:Arch:00000:UNDI:002001')],
];

const DHCP = (['discover', 'request', 'decline', 'release', 'inform', 'offer'] as const).flatMap((type) =>
  [PI_OPTIONS, []].map((options) =>
    encodeMessage({
      ...{ op: 1, htype: 1, hops: 0, xid: 0x12345678, secs: 0, flags: 0, sname: '', file: '' },
      ...{ ciaddr: UNSPECIFIED, yiaddr: UNSPECIFIED, siaddr: UNSPECIFIED, giaddr: UNSPECIFIED },
      chaddr: 'dc:a6:32:ba:d0:01' as Mac,
      options: new Map<number, Uint8Array>([
        [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE[type])],
        [OPTION.requestedIpAddress, ipv4ToBytes('192.168.172.111' as Ipv4)],
        ...options,
      ]),
    }),
  ),
);

const TFTP = [
  encodePacket({
    kind: 'rrq',
    filename: 'public.bin',
    mode: 'octet',
    options: new Map([['blksize', '1468']]),
  }),
  encodePacket({
    kind: 'rrq',
    filename: 'ba000001/start4.elf',
    mode: 'octet',
    options: new Map([['tsize', '0']]),
  }),
  encodePacket({ kind: 'wrq', filename: 'public.bin', mode: 'octet', options: new Map() }),
  encodePacket({ kind: 'data', block: 1, data: randomBytes(512) }),
  encodePacket({ kind: 'ack', block: 1 }),
  encodePacket({ kind: 'error', code: 0, message: 'no' }),
  Buffer.from(`\0\x01public.bin\0octet\0${'blksize\0-1\0'.repeat(80)}`, 'latin1'),
  Buffer.from(`\0\x01public.bin\0octet\0blksize\0${'9'.repeat(400)}\0timeout\x000\0tsize\0x\0`, 'latin1'),
];

const sent = { dhcp: 0, tftp: 0, transfer: 0 };
const spray = await openUdp({ interface: 'eth0', port: 0 });
spray.on('error', () => {});
function send(
  kind: keyof typeof sent,
  bytes: Uint8Array,
  port: number,
  socket = spray,
  address = server,
): void {
  sent[kind]++;
  socket.send(bytes, port, address, () => {});
}

function nextDatagram(
  socket: Socket,
  withinMs: number,
): Promise<{ bytes: Buffer; port: number } | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), withinMs);
    socket.once('message', (bytes, { port }) => {
      clearTimeout(timer);
      resolve({ bytes, port });
    });
  });
}

async function ask(path: string): Promise<{ error?: string; served?: string }> {
  const socket = await openUdp({ interface: 'eth0', port: 0 });
  try {
    send('tftp', Buffer.from(`\0\x01${path}\0octet\0`, 'latin1'), 69, socket);
    const answer = await nextDatagram(socket, 1_000);
    if (!answer) return {};
    const packet = decodePacket(answer.bytes);
    send('tftp', encodePacket({ kind: 'error', code: 0, message: 'enough' }), answer.port, socket);
    if (packet.kind === 'error') return { error: packet.message };
    return { served: answer.bytes.subarray(4, 64).toString('latin1') };
  } finally {
    socket.close();
  }
}

/** Starts a transfer, and has garbage come to its port from its own client and from somebody else. */
async function disturbTransfer(): Promise<void> {
  const socket = await openUdp({ interface: 'eth0', port: 0 });
  send('transfer', TFTP[0] as Uint8Array, 69, socket);
  const first = await nextDatagram(socket, 500);
  for (let count = 0; first && count < 40; count++) {
    const ack = encodePacket({ kind: 'ack', block: random(70_000) % 65_536 });
    send('transfer', mutate(pick([ack, ...TFTP])), first.port, pick([socket, spray]));
  }
  socket.close(); // never finished: the service has to give it up by itself
}

const answers: Record<string, { error?: string; served?: string }> = {};
for (const path of JSON.parse(paths) as string[]) answers[path] = await ask(path);
say({ answers });
for (const until = Date.now() + Number(seconds) * 1000; Date.now() < until; await sleep(40)) {
  for (let count = 0; count < 60; count++) {
    send('dhcp', mutate(pick(DHCP)), pick([67, 4011]), spray, dhcpDestination);
    send('tftp', mutate(pick(TFTP)), 69);
    send('transfer', mutate(pick(TFTP)), 32_768 + random(28_232));
  }
  await disturbTransfer();
}
spray.close();
say({ sent });
