import { isDeepStrictEqual } from 'node:util';
import { normalisePath } from '../../src/boot/path.ts';
import { lookup } from '../../src/boot/tree.ts';
import { asciiFromBytes, WireError } from '../../src/net/bytes.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { negotiate } from '../../src/tftp/negotiate.ts';
import { decodePacket, encodePacket } from '../../src/tftp/packet.ts';
import { sampleGeneration, sampleNode, sampleView } from '../boot/sample-view.ts';
import { TFTP_REQUESTS, TFTP_TRANSFER } from './corpus.ts';
import { check, refusing, type Target } from './target.ts';

const FOLDER = '/var/lib/netboot/generations/web-0123456789ab';
const FILES = ['bootcode.bin', 'start4.elf', 'kernel8.img', 'overlays/overlay_map.dtb', 'boot.img'];
const nodes = [
  sampleNode({ serial: 'ab000004', mac: 'dc:a6:32:00:00:04', ip: '192.168.172.21' }),
  sampleNode({ serial: 'ab000005', image: 'unbuilt' }),
  sampleNode({ serial: 'ab000006', role: 'web' }),
];
const generation = sampleGeneration('web', Object.fromEntries(FILES.map((name) => [name, 70_000])), FOLDER);
const view = sampleView(nodes, [generation]);
const clients = ['192.168.172.21', '192.168.172.99'].map((address) => ({
  address: address as Ipv4,
  interface: 'eth0',
}));

/** Largest block a frame of 1500 bytes carries. */
const MAX_BLOCK = 1468;

export const TFTP_TARGETS: readonly Target[] = [
  {
    name: 'tftp-packet',
    seeds: [...TFTP_REQUESTS, ...TFTP_TRANSFER],
    read(input) {
      const packet = refusing([WireError], () => decodePacket(input));
      // The text of an ERROR is made printable when it is sent.
      if (!packet || packet.kind === 'error') return;
      const again = decodePacket(encodePacket(packet));
      check(isDeepStrictEqual(plain(again), plain(packet)), 'decode(encode(packet)) is another packet');
    },
  },
  {
    name: 'tftp-request',
    seeds: TFTP_REQUESTS,
    read(input) {
      const packet = refusing([WireError], () => decodePacket(input));
      if (packet?.kind !== 'rrq') return;
      staysBelow(packet.filename);
      const { blockSize, windowSize, timeoutMs, accepted } = negotiate(packet.options, 123_456, MAX_BLOCK);
      check(blockSize >= 8 && blockSize <= MAX_BLOCK, `blocks of ${blockSize} bytes`);
      check(windowSize >= 1 && windowSize <= 65_535, `a window of ${windowSize}`);
      check(timeoutMs >= 10 && timeoutMs <= 255_000, `a timeout of ${timeoutMs} ms`);
      for (const name of accepted?.keys() ?? []) check(packet.options.has(name), `${name} was not asked for`);
    },
  },
  {
    name: 'boot-path',
    seeds: TFTP_REQUESTS.map((bytes) => bytes.subarray(2, bytes.indexOf(0, 2))),
    read(input) {
      staysBelow(asciiFromBytes(input));
    },
  },
];

/** Whatever is asked, what is found is a file of the node's generation, or a path without a way up. */
function staysBelow(requested: string): void {
  const path = normalisePath(requested);
  if (path.kind === 'path')
    check(!path.segments.some((segment) => /^\.{0,2}$|[/\\\0]/.test(segment)), `segments ${path.segments}`);
  for (const client of clients) {
    const found = lookup(view, client, requested);
    if (found.kind === 'static') {
      const name = found.file.slice(`${FOLDER}/boot/`.length);
      check(found.file.startsWith(`${FOLDER}/boot/`) && FILES.includes(name), `the file ${found.file}`);
    }
    if (found.kind === 'plain') check(!/(^|\/)\.{0,2}(\/|$)|\0/.test(found.path), `the path ${found.path}`);
  }
}

function plain(packet: object): unknown {
  return Object.entries(packet).map(([name, value]) => [
    name,
    value instanceof Uint8Array
      ? Buffer.from(value).toString('hex')
      : value instanceof Map
        ? [...value]
        : value,
  ]);
}
