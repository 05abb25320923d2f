import { MESSAGE_TYPE, type MessageType, OPTION, textBytes } from '../../src/dhcp/options.ts';
import { type DhcpMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { type Ipv4, ipv4ToBytes, UNSPECIFIED } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import type { Serial } from '../../src/net/serial.ts';
import { boardOf } from '../../src/sim/board.ts';
import {
  bootcodePersonality,
  eepromPersonality,
  encodeDiscover,
  encodeRequest,
  romPersonality,
} from '../../src/sim/dhcp-personality.ts';
import { encodePacket } from '../../src/tftp/packet.ts';
import { FIRMWARES, hex, PI4 } from '../dhcp/fixtures/discovers.ts';

/**
 * Well-formed inputs that the mutations start from: all that a client of ours may send, and all that a server may
 * answer to a virtual Pi.
 */

type Options = ReadonlyArray<readonly [number, Uint8Array]>;

const SERVER = '192.168.172.17' as Ipv4;
const CLIENT = '192.168.172.150' as Ipv4;

export function dhcp(type: MessageType, options: Options, more: Partial<DhcpMessage> = {}): Uint8Array {
  return encodeMessage({
    ...{ op: 1, htype: 1, hops: 0, xid: 0x12345678, secs: 0, flags: 0, sname: '', file: '' },
    ...{ ciaddr: UNSPECIFIED, yiaddr: UNSPECIFIED, siaddr: UNSPECIFIED, giaddr: UNSPECIFIED },
    chaddr: '52:54:00:ba:d0:01' as Mac,
    ...more,
    options: new Map([[OPTION.messageType, Uint8Array.of(MESSAGE_TYPE[type])], ...options]),
  });
}

const requested = [OPTION.requestedIpAddress, ipv4ToBytes(CLIENT)] as const;
const server = [OPTION.serverIdentifier, ipv4ToBytes(SERVER)] as const;
const relayed = [82, hex('0104 00000001 0206 525400000001')] as const;
const parameters = [OPTION.parameterRequestList, Uint8Array.of(1, 3, 6, 12, 15, 28, 43, 60, 66, 67)] as const;

const netboot = (vendorClass: string, arch: number): Options => [
  [OPTION.clientArch, Uint8Array.of(arch >> 8, arch & 0xff)],
  [OPTION.clientNetworkInterface, Uint8Array.of(1, 3, 16)],
  [OPTION.clientMachineId, hex('00 564dc2a5 1f3e 4a4b 8c9d 0123456789ab')],
  [OPTION.vendorClass, textBytes(vendorClass)],
  parameters,
];

/** Every kind of client that netboots, by name. */
export const BOOT_CLIENTS: ReadonlyMap<string, Options> = new Map<string, Options>([
  ['PC, BIOS', netboot('PXEClient:Arch:00000:UNDI:002001', 0)],
  ['PC, UEFI', netboot('PXEClient:Arch:00007:UNDI:003016', 7)],
  ['EDK2 on arm64', netboot('PXEClient:Arch:00011:UNDI:003000', 11)],
  ['HTTP boot, x86-64', netboot('HTTPClient:Arch:00016:UNDI:003001', 16)],
  ['HTTP boot, arm64', netboot('HTTPClient:Arch:00019:UNDI:003000', 19)],
  ['iPXE, BIOS', [...netboot('PXEClient:Arch:00000:UNDI:002001', 0), [77, textBytes('iPXE')]]],
  ['iPXE, arm64', [...netboot('PXEClient:Arch:00011:UNDI:003010', 11), [77, textBytes('\x04iPXE')]]],
  ['U-Boot, arm64', netboot('U-Boot.armv8', 22)],
]);

/** What comes to port 67 or 4011. */
export const DHCP_REQUESTS: readonly Uint8Array[] = [
  ...FIRMWARES.map(({ bytes }) => bytes),
  ...virtualPis(),
  ...BOOT_CLIENTS.values().map((options) => dhcp('discover', options)),
  ...BOOT_CLIENTS.values().map((options) => dhcp('request', [...options, requested, server])),
  dhcp('request', [...(BOOT_CLIENTS.get('EDK2 on arm64') ?? [])], { ciaddr: CLIENT }),
  dhcp('discover', [parameters]),
  dhcp('discover', [parameters, requested, [OPTION.clientIdentifier, hex('01 525400bad001')]]),
  dhcp('discover', [[80, new Uint8Array()], parameters]),
  dhcp('request', [requested, server]),
  dhcp('request', [requested]),
  dhcp('request', [], { ciaddr: CLIENT }),
  dhcp('decline', [requested, server]),
  dhcp('release', [server], { ciaddr: CLIENT }),
  dhcp('inform', [parameters], { ciaddr: CLIENT }),
  dhcp('offer', [server], { op: 2, yiaddr: CLIENT }),
  dhcp('discover', [parameters, relayed], { giaddr: '192.168.172.9' as Ipv4, hops: 1 }),
  dhcp('request', [requested, server, relayed], { giaddr: '10.1.2.3' as Ipv4, hops: 3 }),
  dhcp('discover', [[43, new Uint8Array(300).fill(7)]]),
  overloaded(),
];

/** RFC 2131 section 4.1: file and sname hold options as well. Our encoder writes no such message. */
function overloaded(): Uint8Array {
  const names = { file: '\x0c\x03abc\xff', sname: '\x0c\x03def\xff' };
  const bytes = dhcp('discover', [[254, Uint8Array.of(3)], parameters], names);
  return bytes.with(bytes.indexOf(254, 240), 52);
}

/** What our own virtual firmwares write. */
function virtualPis(): Uint8Array[] {
  const serial = 'ab0000ff' as Serial; // not the honest Pi's: who claims its serial is given its address
  const pi3 = boardOf({ model: 'pi3', serial, rom: '3b' });
  const eeproms = (['pi4', 'pi5'] as const).map((model) => eepromPersonality(boardOf({ model, serial }), 1));
  return [
    ...[romPersonality(pi3), bootcodePersonality(pi3), ...eeproms].map(encodeDiscover),
    ...eeproms.map((personality) => encodeRequest(personality, CLIENT, SERVER)),
  ];
}

/** What comes to a virtual Pi's port 68. */
export const DHCP_REPLIES: readonly Uint8Array[] = [
  dhcp('offer', replyOptions('offer'), reply()),
  dhcp('offer', replyOptions('proxy'), { ...reply(), yiaddr: UNSPECIFIED }),
  dhcp('ack', replyOptions('offer'), reply()),
  dhcp('ack', replyOptions('offer'), { ...reply(), file: 'bootcode.bin', sname: 'appliance' }),
  dhcp('nak', [server], reply()),
];

function reply(): Partial<DhcpMessage> {
  return { op: 2, yiaddr: CLIENT, siaddr: SERVER, chaddr: PI4.mac as Mac };
}

function replyOptions(kind: 'offer' | 'proxy'): Options {
  const menu = '06 01 03 0a 04 00 50 58 45 09 17 00 00 14 52617370626572727920506920426f6f74202020 ff';
  const boot: Options = [
    server,
    [OPTION.vendorClass, textBytes('PXEClient')],
    [OPTION.tftpServerName, textBytes(SERVER)],
    [OPTION.vendorSpecific, hex(menu)],
  ];
  if (kind === 'proxy') return boot;
  return [...boot, [1, hex('ffffff00')], [3, ipv4ToBytes(SERVER)], [51, hex('0000a8c0')], relayed];
}

const text = (latin1: string): Uint8Array => Buffer.from(latin1, 'latin1');
const rrq = (filename: string, options: Readonly<Record<string, string>>, mode = 'octet'): Uint8Array =>
  encodePacket({ kind: 'rrq', filename, mode, options: new Map(Object.entries(options)) });

/** What comes to port 69. */
export const TFTP_REQUESTS: readonly Uint8Array[] = [
  rrq('ab000004/start4.elf', { tsize: '0', blksize: '1024' }),
  rrq('ab000004//config.txt', { tsize: '0', blksize: '1468' }),
  rrq('ab000004/cmdline.txt', { tsize: '0' }),
  rrq('bootcode.bin', {}),
  rrq('bootsig.bin', {}),
  rrq('dc-a6-32-00-00-04/kernel8.img', { blksize: '1468', windowsize: '16', timeout: '2' }),
  rrq('\\public.bin', { blksize: '65464', windowsize: '65535', tsize: '0', timeout: '255', utimeout: '1' }),
  rrq('public.bin', { blksize: '8', windowsize: '64' }),
  rrq('../../etc/passwd', { rollover: '1', multicast: '' }, 'netascii'),
  rrq(`${'x/'.repeat(200)}y`, {}, 'OCTET'),
  encodePacket({ kind: 'wrq', filename: 'public.bin', mode: 'octet', options: new Map() }),
  text(`\0\x01public.bin\0octet\0${'blksize\0-1\0'.repeat(40)}`),
  text(`\0\x01public.bin\0octet\0blksize\0${'9'.repeat(400)}\0timeout\x000\0tsize\0x\0`),
  text('\0\x01public.bin\0octet\0tsize\x000\0\0\0\0\0\0\0\0'),
];

/** What comes to the port of a transfer, at either end. */
export const TFTP_TRANSFER: readonly Uint8Array[] = [
  ...[0, 1, 2, 3, 17, 32_767, 65_535].map((block) => encodePacket({ kind: 'ack', block })),
  ...[0, 1, 3, 5, 8].map((code) => encodePacket({ kind: 'error', code, message: 'Early terminate' })),
  encodePacket({ kind: 'data', block: 1, data: new Uint8Array(512) }),
  encodePacket({ kind: 'data', block: 2, data: new Uint8Array(3) }),
  encodePacket({
    kind: 'oack',
    options: new Map([
      ['blksize', '1468'],
      ['tsize', '123456'],
    ]),
  }),
];

/** What comes to the port of HTTP, each the bytes of one connection. */
export const HTTP_REQUESTS: readonly Uint8Array[] = [
  text('GET /ab000004/config.txt HTTP/1.1\r\nHost: 192.168.172.17\r\n\r\n'),
  text('GET /ab000004/kernel8.img HTTP/1.1\r\nHost: a\r\nRange: bytes=100-199\r\nConnection: close\r\n\r\n'),
  text('GET /ab000004/kernel8.img HTTP/1.1\r\nHost: a\r\nRange: bytes=-5,3-,9-1,999999999999999999-\r\n\r\n'),
  text('HEAD /ab000004//boot.img HTTP/1.1\r\nHost: a\r\nUser-Agent: rpiboot/1.0 (c03115; version:1)\r\n\r\n'),
  text('GET /net_install/boot.sig HTTP/1.0\r\n\r\n'),
  text('GET http://192.168.172.17/public.bin?x=%00#y HTTP/1.1\r\nHost: a\r\nIf-Range: "x"\r\n\r\n'),
  text('GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n'),
  text('POST /ab000004/config.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello'),
  text('PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nhello\r\n0\r\n\r\n'),
  text(`GET /${'a'.repeat(1_500)} HTTP/1.1\r\nHost: a\r\nX: ${'b'.repeat(400)}\r\n\r\n`),
  text('GET /public.bin HTTP/1.1\r\nHost: a\r\n\r\nGET /public.bin HTTP/1.1\r\nHost: a\r\n\r\n'),
  text('CONNECT a:80 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n\r\n'),
];
