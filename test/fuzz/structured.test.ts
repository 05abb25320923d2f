import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeMessage } from '../../src/dhcp/packet.ts';
import { ipv4FromNumber } from '../../src/net/ipv4.ts';
import { macFromBytes } from '../../src/net/mac.ts';
import { probe, TARGETS } from './parsers.ts';

// Messages with the right structure and the wrong contents, which bytes turned over seldom make: fast-check builds them
// and, when one breaks something, finds the smallest that does.

const RUNS = { numRuns: 2_000 };

const byte = fc.integer({ min: 0, max: 255 });
/** What codes mean something to us, more often than the others. */
const code = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(12, 43, 50, 51, 53, 54, 55, 57, 60, 61, 66, 77, 80, 82, 93, 94, 97, 118),
  },
  { weight: 1, arbitrary: byte },
);
const value = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc
    .constantFrom('PXEClient:Arch:00000:UNDI:002001', 'HTTPClient:Arch:00019', 'U-Boot.armv8', 'iPXE', 'd-i')
    .map(ascii),
  fc.constantFrom(0, 6, 7, 11, 16, 19, 22, 41, 65_535).map((arch) => Uint8Array.of(arch >> 8, arch & 0xff)),
  fc.constant(new Uint8Array(17).fill(0x44, 1)),
);
/** An option as it is written; its length may be a lie. */
const option = fc
  .record({ code, value, lie: fc.option(byte, { freq: 8 }) })
  .map((each) => Uint8Array.of(each.code, each.lie ?? each.value.length, ...each.value));
const type = byte.map((number) => Uint8Array.of(53, 1, number % 9));
const options = fc.tuple(type, fc.array(option, { maxLength: 24 })).map(([first, rest]) => [first, ...rest]);
const address = fc.oneof(
  fc.constant(0),
  fc.constant(0xffffffff),
  fc.nat(255).map((low) => 0xc0a8ac00 + low),
);
/** Oui of a Pi, or anything. */
const chaddr = fc
  .tuple(
    fc.constantFrom([0xb8, 0x27, 0xeb], [0xdc, 0xa6, 0x32], [2, 0, 0], [255, 255, 255]),
    byte,
    byte,
    byte,
  )
  .map(([oui, ...rest]) => macFromBytes(Uint8Array.of(...oui, ...rest)));

const dhcpMessage = fc
  .record({
    op: fc.constantFrom<1 | 2>(1, 1, 1, 2),
    htype: fc.constantFrom(1, 1, 1, 6, 0),
    hops: byte,
    xid: fc.constantFrom(0x26f30339, 0, 0xffffffff),
    secs: fc.constantFrom(0, 65_535),
    flags: fc.constantFrom(0, 0x8000, 0xffff),
    addresses: fc.tuple(address, address, address, address),
    chaddr,
    options,
    sname: fc.array(option, { maxLength: 3 }),
    file: fc.array(option, { maxLength: 5 }),
    overload: fc.constantFrom(0, 0, 1, 2, 3, 255),
    hasEnd: fc.boolean(),
  })
  .map((each) => {
    const [ciaddr, yiaddr, siaddr, giaddr] = each.addresses.map(ipv4FromNumber) as [
      never,
      never,
      never,
      never,
    ];
    const { op, htype, hops, xid, secs, flags } = each;
    const header = encodeMessage({
      ...{ op, htype, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr },
      ...{ chaddr: each.chaddr, sname: '', file: '', options: new Map() },
    }).subarray(0, 240);
    header.set(Buffer.concat(each.sname).subarray(0, 64), 44);
    header.set(Buffer.concat(each.file).subarray(0, 128), 108);
    const overload = each.overload === 0 ? [] : [52, 1, each.overload];
    return Uint8Array.of(
      ...header,
      ...overload,
      ...Buffer.concat(each.options),
      ...(each.hasEnd ? [255] : []),
    );
  });

const tftpText = fc.oneof(
  fc.constantFrom('', 'octet', 'netascii', 'mail', '../x', '//', '\\', 'bootcode.bin', 'ab000004/config.txt'),
  fc.constantFrom('blksize', 'BLKSIZE', 'tsize', 'timeout', 'windowsize', 'utimeout', 'multicast'),
  fc.constantFrom('0', '1', '-1', '8', '65464', '65465', '1468', '1e3', ' 8', '18446744073709551616', '0x10'),
  fc.string({ maxLength: 12 }),
);
const tftpPacket = fc
  .record({ opcode: fc.nat(7), texts: fc.array(tftpText, { maxLength: 20 }), isCutOff: fc.boolean() })
  .map(({ opcode, texts, isCutOff }) =>
    ascii(`\0${String.fromCharCode(opcode)}${texts.join('\0')}${isCutOff ? '' : '\0'}`),
  );

const yamlKey = fc.constantFrom(
  'eth0',
  'dhcp',
  'pool',
  'dns',
  'lease',
  'unknown',
  'defaultImage',
  'server',
  'root',
  '<<',
);
const yamlValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(
      '',
      '~',
      '12h',
      '0',
      '-1',
      'full',
      'web',
      '/exports',
      '192.168.172.1',
      '&a b',
      '*a',
      '!!binary x',
      '|',
    ),
    fc.array(tie('value'), { maxLength: 3 }).map((values) => `[${values.join(', ')}]`),
    fc.array(fc.tuple(yamlKey, tie('value') as fc.Arbitrary<string>), { maxLength: 4 }).map(mapOf),
  ),
})).value as fc.Arbitrary<string>;
const yaml = fc
  .array(fc.tuple(fc.constantFrom(...topKeys()), yamlValue), { maxLength: 8 })
  .map((pairs) => ascii(linesOf(pairs)));

describe('messages of the right structure and the wrong contents', () => {
  const cases: ReadonlyArray<readonly [fc.Arbitrary<Uint8Array>, readonly string[]]> = [
    [dhcpMessage, ['dhcp-packet', 'dhcp-decide', 'sim-offers']],
    [tftpPacket, ['tftp-packet', 'tftp-request']],
    [yaml, ['config', 'recipe']],
  ];
  for (const [arbitrary, names] of cases) {
    for (const target of TARGETS.filter(({ name }) => names.includes(name))) {
      it(`${target.name} reads or refuses them`, () => {
        const reads = fc.property(arbitrary, (input) => assert.equal(probe(target, input), undefined));
        fc.assert(reads, RUNS);
      });
    }
  }
});

function ascii(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

function topKeys(): [string, ...string[]] {
  return [
    'interfaces',
    'nodes',
    'nfs',
    'paths',
    'api',
    'tftp',
    'http',
    'base',
    'packages',
    'roles',
    'boot',
    '? a',
    '-',
  ];
}

function mapOf(pairs: ReadonlyArray<readonly [string, string]>): string {
  return `{ ${pairs.map(([key, held]) => `${key}: ${held}`).join(', ')} }`;
}

function linesOf(pairs: ReadonlyArray<readonly [string, string]>): string {
  return pairs.map(([key, held]) => `${key}: ${held}\n`).join('');
}
