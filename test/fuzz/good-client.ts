import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { MESSAGE_TYPE, OPTION, readIpv4, readMessageType } from '../../src/dhcp/options.ts';
import { type DhcpMessage, decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { openUdp } from '../../src/host/udp.ts';
import { WireError } from '../../src/net/bytes.ts';
import { type Ipv4, ipv4ToBytes, LIMITED_BROADCAST, UNSPECIFIED } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import type { Serial } from '../../src/net/serial.ts';
import { boardOf, eepromGuid } from '../../src/sim/board.ts';
import { Inbox } from '../../src/sim/inbox.ts';
import { CollectedBlocks, type Fetched, type TftpDialect, TftpFetch } from '../../src/sim/tftp-client.ts';

/**
 * A program: an honest Pi 4 on eth0 of this network namespace that boots again and again, with a real one's patience:
 * DHCP for 45 s, asking every 4 s, and 30 s for a file. `good-client.ts TASK`, the task as JSON. It has its address
 * already. Writes a {@link GoodBoot} for each boot, one a line, until it is ended.
 */
export interface GoodTask {
  readonly server: Ipv4;
  readonly serial: Serial;
  readonly mac: Mac;
  readonly address: Ipv4;
  /** SHA-256 of each file, in hex, by its path below the prefix. */
  readonly files: Readonly<Record<string, string>>;
  readonly httpPort?: number;
}

export type GoodBoot = { readonly ms: number } | { readonly failed: string };

const task = JSON.parse(process.argv[2] as string) as GoodTask;
const board = boardOf({ model: 'pi4', serial: task.serial, mac: task.mac });
const DHCP_TIMEOUT = 45_000;
const DHCP_RESEND = 4_000;
const DIALECT: TftpDialect = {
  ...{ stage: 'EEPROM', asks: ['tsize', 'blksize'], blksize: 1468, timeoutMs: 30_000, timeoutCovers: 'file' },
  ...{ rollsOver: false, needsOack: true, onSilence: 'fail', firstPort: 0, sendsChecksum: true, ttl: 64 },
};

class Failure extends Error {}
/** A DHCPNAK: somebody forged this Pi's name in between. */
class Refused extends Failure {}

async function exchange(
  xid: number,
  options: ReadonlyArray<readonly [number, Uint8Array]>,
  wanted: 'offer' | 'ack',
): Promise<DhcpMessage> {
  const socket = await openUdp({ interface: 'eth0', port: 68 });
  try {
    const inbox = Inbox.of(socket);
    const bytes = encodeMessage({
      ...{ op: 1, htype: 1, hops: 0, xid, secs: 0, flags: 0, sname: '', file: '' },
      ...{ ciaddr: UNSPECIFIED, yiaddr: UNSPECIFIED, siaddr: UNSPECIFIED, giaddr: UNSPECIFIED },
      chaddr: task.mac,
      options: new Map<number, Uint8Array>([
        ...options,
        [OPTION.clientArch, new Uint8Array(2)],
        [OPTION.clientNetworkInterface, Uint8Array.of(1, 2, 1)],
        [OPTION.clientMachineId, eepromGuid(board)],
        [OPTION.vendorClass, Buffer.from('PXEClient:Arch:00000:UNDI:002001')],
      ]),
    });
    for (const until = performance.now() + DHCP_TIMEOUT; performance.now() < until; ) {
      socket.send(bytes, 67, LIMITED_BROADCAST, () => {});
      const resendAt = performance.now() + DHCP_RESEND;
      for (let datagram = await inbox.next(resendAt); datagram; datagram = await inbox.next(resendAt)) {
        const message = decoded(datagram.bytes);
        if (message?.xid !== xid || message.chaddr !== task.mac) continue;
        const type = readMessageType(message.options);
        if (type === wanted) return message;
        if (type === 'nak') throw new Refused('the address was refused');
      }
    }
    throw new Failure(`no ${wanted} within ${DHCP_TIMEOUT / 1000} s`);
  } finally {
    socket.close();
  }
}

function decoded(bytes: Uint8Array): DhcpMessage | undefined {
  try {
    return decodeMessage(bytes);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** Refused, it begins anew (RFC 2131, section 3.1, item 5), as long as its patience for DHCP lasts. */
async function lease(): Promise<void> {
  for (const until = performance.now() + DHCP_TIMEOUT; ; ) {
    try {
      await askForLease();
      return;
    } catch (error) {
      if (!(error instanceof Refused) || performance.now() > until) throw error;
    }
  }
}

async function askForLease(): Promise<void> {
  const xid = Math.floor(Math.random() * 2 ** 32);
  const offer = await exchange(xid, [[OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.discover)]], 'offer');
  const server = readIpv4(offer.options, OPTION.serverIdentifier) ?? task.server;
  const request: Array<[number, Uint8Array]> = [
    [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.request)],
    [OPTION.requestedIpAddress, ipv4ToBytes(offer.yiaddr)],
    [OPTION.serverIdentifier, ipv4ToBytes(server)],
  ];
  const ack = await exchange(xid, request, 'ack');
  if (ack.yiaddr !== task.address) throw new Failure(`it was given ${ack.yiaddr}`);
}

async function file(path: string, sha256: string): Promise<void> {
  const socket = await openUdp({ interface: 'eth0', port: 0, address: task.address });
  try {
    const fetched = await new Promise<Fetched>((done) => {
      const fetch = new TftpFetch({
        ...{ path: `${task.serial}/${path}`, dialect: DIALECT, purpose: 'read', timeScale: 1, done },
        send: (bytes, port) => socket.send(Buffer.from(bytes), port, task.server, () => {}),
        sink: () => new CollectedBlocks(),
      });
      socket.on('message', (bytes, from) => {
        if (from.address === task.server) fetch.hear(bytes, 0, bytes.length, from.port);
      });
      socket.on('error', () => {});
      fetch.start();
    });
    if (fetched.kind !== 'read') throw new Failure(`${path}: ${fetched.kind}, ${fetched.answer}`);
    compare(path, fetched.bytes, sha256);
  } finally {
    socket.close();
  }
}

/** As the Pi's HTTP boot and iPXE ask. */
async function page(path: string, sha256: string, port: number): Promise<void> {
  const signal = AbortSignal.timeout(30_000);
  const response = await fetch(`http://${task.server}:${port}/${task.serial}/${path}`, { signal });
  if (response.status !== 200) throw new Failure(`HTTP ${path}: ${response.status}`);
  compare(`HTTP ${path}`, new Uint8Array(await response.arrayBuffer()), sha256);
}

function compare(path: string, bytes: Uint8Array, sha256: string): void {
  const hash = createHash('sha256').update(bytes).digest('hex');
  if (hash !== sha256) throw new Failure(`${path}: ${bytes.length} wrong bytes`);
}

while (true) {
  const startedAt = performance.now();
  let boot: GoodBoot;
  try {
    await lease();
    for (const [path, sha256] of Object.entries(task.files)) await file(path, sha256);
    const [path, sha256] = Object.entries(task.files).at(-1) as [string, string];
    if (task.httpPort !== undefined) await page(path, sha256, task.httpPort);
    boot = { ms: Math.round(performance.now() - startedAt) };
  } catch (error) {
    boot = { failed: (error as Error).message };
  }
  console.log(JSON.stringify(boot));
  await sleep(50);
}
