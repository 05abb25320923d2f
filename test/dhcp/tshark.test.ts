import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { encodeMessage } from '../../src/dhcp/packet.ts';
import { FIRMWARES } from './fixtures/discovers.ts';
import { ask, FULL, from, node, PROXY, plain, replyOf } from './fixtures/world.ts';

// A foreign witness for what we send: Wireshark's dissector reads our replies and has nothing to complain of.

const isInstalled = spawnSync('tshark', ['--version']).status === 0;

/** A capture file of link type 228 (raw IPv4): each payload as a UDP datagram from port 67 to 68. */
function capture(payloads: readonly Uint8Array[]): Uint8Array {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(228, 20);
  return Buffer.concat([header, ...payloads.map(record)]);
}

function record(payload: Uint8Array): Uint8Array {
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
    255,
    255,
    255,
    255,
  ]);
  ip.writeUInt16BE(67, 20);
  ip.writeUInt16BE(68, 22);
  ip.writeUInt16BE(length - 20, 24);
  return Buffer.concat([head, payload]);
}

/** One line for each payload: complaints, message type, option 66 and the menu's text, with `|` between them. */
function dissect(t: TestContext, payloads: readonly Uint8Array[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'netboot-tshark-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'offers.pcap');
  writeFileSync(file, capture(payloads));
  const fields = [
    '_ws.expert.message',
    'dhcp.option.dhcp',
    'dhcp.option.tftp_server_name',
    'dhcp.option.vendor.pxeclient.boot_menu.desc',
  ].flatMap((field) => ['-e', field]);
  const args = ['-n', '-r', file, '-T', 'fields', '-E', 'separator=|', ...fields];
  const stdio = ['ignore', 'pipe', 'ignore'] as const;
  const output = execFileSync('tshark', args, { encoding: 'utf8', stdio: [...stdio], timeout: 30_000 });
  return output.split('\n').slice(0, -1);
}

const skip = isInstalled ? false : 'tshark is not installed';

test('Wireshark reads every OFFER without a complaint', { skip }, (t) => {
  const offers = [FULL, PROXY].flatMap((network) =>
    FIRMWARES.map((firmware) => replyOf(ask({ network, nodes: [node(firmware)] }, from(firmware))).message),
  );
  const expected = offers.map(() => '|2|192.168.172.1|Raspberry Pi Boot   ');
  assert.deepEqual(dissect(t, offers.map(encodeMessage)), expected);
});

test('Wireshark does complain of an option of the wrong length', { skip }, (t) => {
  const [line] = dissect(t, [encodeMessage(plain('discover', {}, [[54, Uint8Array.of(192, 168, 172)]]))]);
  assert.match(line ?? '', /^[^|]+\|1\|/);
});
