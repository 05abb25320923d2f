import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

// A foreign witness of what goes over the wire: Wireshark's dissectors.

export const isTsharkInstalled = spawnSync('tshark', ['--version']).status === 0;

/** A UDP datagram to be written into a capture file. */
export interface Datagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

/** What Wireshark made of one frame. */
export interface Dissected {
  readonly frame: number;
  /** The protocol it took it for: `dhcp`, `tftp`, `udp`, … */
  readonly protocol: string;
  /** Of severity warning or error. */
  readonly complaints: readonly string[];
  /** Those of the fields asked for, in that order; an absent one is empty. */
  readonly fields: readonly string[];
}

/** Wireshark's numbers: 0x200000 chat, 0x400000 note, 0x600000 warning, 0x800000 error. */
const WARNING = 0x600000;

/**
 * @param file a capture file.
 * @param fields names of Wireshark's, `dhcp.option.dhcp`.
 */
export async function dissect(file: string, ...fields: readonly string[]): Promise<Dissected[]> {
  const always = ['frame.number', 'frame.protocols', '_ws.expert.severity', '_ws.expert.message'];
  const wanted = [...always, ...fields].flatMap((field) => ['-e', field]);
  // No look-ups of names; what veth leaves out (checksums) is not looked at by default.
  const args = ['-n', '-r', file, '-T', 'fields', '-E', 'separator=/t', '-E', 'aggregator=|', ...wanted];
  const { stdout } = await execa('tshark', args, { timeout: 60_000, stderr: 'ignore' });
  return stdout.split('\n').flatMap((line) => {
    const [frame, protocols, severities = '', messages = '', ...values] = line.split('\t');
    if (!frame || protocols === undefined) return [];
    const texts = messages.split('|');
    const worst = severities.split('|').map((severity) => Number(severity) >= WARNING);
    const complaints = texts.filter((_, index) => worst[index]);
    return [
      { frame: Number(frame), protocol: protocols.split(':').at(-1) as string, complaints, fields: values },
    ];
  });
}

/** The same for datagrams that were never sent. */
export async function dissectDatagrams(
  datagrams: readonly Datagram[],
  ...fields: readonly string[]
): Promise<Dissected[]> {
  const folder = mkdtempSync(join(tmpdir(), 'netboot-tshark-'));
  try {
    const file = join(folder, 'datagrams.pcap');
    writeFileSync(file, capture(datagrams));
    return await dissect(file, ...fields);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A capture file of link type 228, raw IPv4. */
function capture(datagrams: readonly Datagram[]): Uint8Array {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(228, 20);
  return Buffer.concat([header, ...datagrams.map(record)]);
}

function record({ sourcePort, destinationPort, payload }: Datagram): Uint8Array {
  const length = 28 + payload.length;
  const head = Buffer.alloc(16 + 28);
  head.writeUInt32LE(length, 8);
  head.writeUInt32LE(length, 12);
  const ip = head.subarray(16);
  ip.set([
    0x45,
    0,
    length >> 8,
    length & 0xff,
    0,
    0,
    0,
    0,
    64,
    17,
    0,
    0,
    192,
    168,
    172,
    1,
    192,
    168,
    172,
    99,
  ]);
  ip.writeUInt16BE(sourcePort, 20);
  ip.writeUInt16BE(destinationPort, 22);
  ip.writeUInt16BE(length - 20, 24);
  return Buffer.concat([head, payload]);
}
