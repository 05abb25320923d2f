import { once } from 'node:events';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { MESSAGE_TYPE, OPTION, textBytes } from '../../src/dhcp/options.ts';
import { decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { openUdp } from '../../src/host/udp.ts';
import { LIMITED_BROADCAST, UNSPECIFIED } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { decodePacket, encodePacket } from '../../src/tftp/packet.ts';

/**
 * A program for a machine of the rack: `boot-loop.ts SERVER SECONDS HOW:NODE…`. Each of these machines fetches its boot files
 * again and again, with small pauses, and a line of {@link Loaded} is written for each boot. `HOW` says how it boots:
 *   dhcp     a Pi 4 with TFTP, which asks DHCP at the beginning of each boot; NODE is its serial number
 *   http     the same over HTTP
 *   image    the same, but its tree comes as one file, boot.img
 *   fixed    with an address of its own and no DHCP; it takes two seconds and more from one boot to the next
 *   mac      by the MAC in its path (dashes), with the script of iPXE
 *   address  nothing but its address tells who it is; NODE is not looked at
 */
export interface Loaded {
  readonly how: string;
  /** What the files say whose they are, each once. */
  readonly marks: readonly string[];
  /** The generation whose root the command line names. */
  readonly root: string | undefined;
  readonly milliseconds: number;
}

const [server, seconds, ...machines] = process.argv.slice(2) as [string, string, ...string[]];
const until = performance.now() + Number(seconds) * 1000;
const TREE = ['start4.elf', 'config.txt', 'fixup4.dat', 'config.txt', 'initramfs8'];
const REST = ['bcm2711-rpi-4-b.dtb', 'overlays/overlay_map.dtb', 'config.txt', 'cmdline.txt', 'kernel8.img'];

const dhcp = await openUdp({ interface: 'eth0', port: 68 });
dhcp.setMaxListeners(100);
let lastXid = 1000;

/** As the EEPROM of a Pi 4 asks, until it is offered something. */
async function discover(serial: string): Promise<void> {
  lastXid += 1;
  const xid = lastXid;
  const guid = Uint8Array.of(
    0,
    ...textBytes('RPi4'),
    0x14,
    0x31,
    0xd0,
    0,
    0,
    0,
    0,
    0,
    ...Buffer.from(serial, 'hex').reverse(),
  );
  const bytes = encodeMessage({
    ...{ op: 1, htype: 1, hops: 0, xid, secs: 0, flags: 0x8000, sname: '', file: '' },
    ...{ ciaddr: UNSPECIFIED, yiaddr: UNSPECIFIED, siaddr: UNSPECIFIED, giaddr: UNSPECIFIED },
    chaddr: `dc:a6:32:${serial.slice(2, 4)}:${serial.slice(4, 6)}:${serial.slice(6)}` as Mac,
    options: new Map<number, Uint8Array>([
      [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.discover)],
      [OPTION.clientArch, new Uint8Array(2)],
      [OPTION.clientMachineId, guid],
      [OPTION.vendorClass, textBytes('PXEClient:Arch:00000:UNDI:002001')],
    ]),
  });
  const offered = new Promise<void>((resolve) => {
    const listen = (answer: Buffer) => {
      if (decodeMessage(answer).xid !== xid) return;
      dhcp.off('message', listen);
      resolve();
    };
    dhcp.on('message', listen);
  });
  for (let isOffered = false; !isOffered; ) {
    dhcp.send(bytes, 67, LIMITED_BROADCAST);
    isOffered = await Promise.race([offered.then(() => true), sleep(1000).then(() => false)]);
  }
}

/**
 * Counted up, as firmware does it, below those that the kernel gives: a port that comes round again within seconds is still
 * sent what its last owner asked for.
 */
let lastPort = 20_000;

/** Block by block, as firmware reads; what gets lost is asked for again, and who answers twice is heard once. */
async function fetchTftp(path: string): Promise<Buffer> {
  lastPort += 1;
  const socket = await openUdp({ interface: 'eth0', port: lastPort });
  const options = new Map([['blksize', '1468']]);
  let said = encodePacket({ kind: 'rrq', filename: path, mode: 'octet', options });
  let tid: number | undefined;
  let saidAt = performance.now();
  // A socket that is closed takes with it what was just sent: then no transfer ends with its last ACK.
  const say = () => {
    saidAt = performance.now();
    return new Promise((resolve) => socket.send(said, tid ?? 69, server, resolve));
  };
  const resend = setInterval(() => performance.now() - saidAt > 1000 && void say(), 250);
  const blocks: Uint8Array[] = [];
  try {
    await say();
    for await (const [bytes, { port }] of receive(socket)) {
      const packet = decodePacket(bytes);
      tid ??= port;
      if (port !== tid) continue;
      if (packet.kind === 'error') throw new Error(`${path}: ${packet.message}`);
      const isNext = packet.kind === 'data' && packet.block === blocks.length + 1;
      if (isNext) blocks.push(packet.data.slice());
      if (!isNext && packet.kind !== 'oack') continue;
      said = encodePacket({ kind: 'ack', block: blocks.length });
      await say();
      if (isNext && packet.data.length < 1468) break;
    }
  } finally {
    clearInterval(resend);
    socket.close();
  }
  return Buffer.concat(blocks);
}

async function* receive(
  socket: Awaited<ReturnType<typeof openUdp>>,
): AsyncGenerator<[Buffer, { port: number }]> {
  const arrived: Array<[Buffer, { port: number }]> = [];
  let wake = () => {};
  socket.on('message', (bytes, from) => {
    arrived.push([bytes, from]);
    wake();
  });
  for (;;) {
    const next = arrived.shift();
    if (next) yield next;
    else
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  }
}

async function fetchHttp(path: string): Promise<Buffer> {
  const [response] = await once(get({ host: server, path: `/${path}`, agent: false }), 'response');
  const bytes = Buffer.concat(await response.toArray());
  if (response.statusCode !== 200) throw new Error(`${path}: ${bytes}`);
  return bytes;
}

async function load(how: string, node: string): Promise<Loaded> {
  const started = performance.now();
  if (['dhcp', 'http', 'image'].includes(how)) await discover(node);
  const fetch = how === 'http' || how === 'mac' ? fetchHttp : fetchTftp;
  const folder = how === 'address' ? '' : `${node}/`;
  const names = {
    image: ['config.txt', 'boot.img'],
    mac: ['boot.ipxe', 'kernel8.img', 'initramfs8'],
  }[how] ?? [...TREE, ...REST];
  const texts: string[] = [];
  for (const name of names) {
    texts.push((await fetch(`${folder}${name}`)).toString('latin1'));
    await sleep(Math.random() * 20);
  }
  const all = texts.join('\n');
  return {
    how,
    marks: [...new Set([...all.matchAll(/ of (\w+)\n/g)].map(([, mark]) => mark as string))],
    root: /images\/(web-[0-9a-f]{12}),/.exec(all)?.[1],
    milliseconds: Math.round(performance.now() - started),
  };
}

async function bootAgainAndAgain(machine: string): Promise<void> {
  const [how, node] = machine.split(':') as [string, string];
  while (performance.now() < until) {
    console.log(JSON.stringify(await load(how, node)));
    // No Pi is reset and asks for its files again in less; those that ask DHCP are known by that.
    if (!['dhcp', 'http', 'image'].includes(how)) await sleep(2200);
  }
}

await Promise.all(machines.map(bootAgainAndAgain));
process.exit(0);
