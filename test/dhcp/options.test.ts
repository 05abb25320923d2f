import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ipv4Bytes,
  readIpv4,
  readIpv4List,
  readMessageType,
  readText,
  readU8,
  textBytes,
  u32Bytes,
} from '../../src/dhcp/options.ts';
import { hex } from './fixtures/discovers.ts';
import { ip } from './fixtures/world.ts';

const CODE = 200;
const READERS = [
  { name: 'u8', read: readU8, valid: ['2a', 42], short: '', long: '2a2a' },
  { name: 'ipv4', read: readIpv4, valid: ['c0a8ac01', '192.168.172.1'], short: 'c0a8ac', long: 'c0a8ac0101' },
  {
    name: 'ipv4 list',
    read: readIpv4List,
    valid: ['0100000102000002', ['1.0.0.1', '2.0.0.2']],
    short: '',
    long: '0100000102',
  },
] as const;

for (const { name, read, valid, short, long } of READERS) {
  test(`${name}: a malformed option reads as absent`, () => {
    const given = (bytes: string) => read(new Map([[CODE, hex(bytes)]]), CODE);
    assert.deepEqual(given(valid[0]), valid[1]);
    assert.equal(given(short), undefined);
    assert.equal(given(long), undefined);
    assert.equal(read(new Map(), CODE), undefined);
  });
}

test('readers work on a view into a larger buffer', () => {
  const view = hex('ffff 12345678 ffff').subarray(2, 6);
  assert.equal(readIpv4(new Map([[CODE, view]]), CODE), '18.52.86.120');
});

test('text has its trailing NULs cut and any byte', () => {
  const options = new Map([[CODE, hex('50584500 ff00 00')]]);
  assert.equal(readText(options, CODE), 'PXE\0\xff');
});

test('message types by name', () => {
  const type = (bytes: string) => readMessageType(new Map([[53, hex(bytes)]]));
  assert.deepEqual(['01', '02', '03', '04', '05', '06', '07', '08'].map(type), [
    'discover',
    'offer',
    'request',
    'decline',
    'ack',
    'nak',
    'release',
    'inform',
  ]);
  assert.deepEqual(['00', '09', '', '0101'].map(type), [undefined, undefined, undefined, undefined]);
  assert.equal(readMessageType(new Map()), undefined);
});

test('writers are the readers’ inverse', () => {
  assert.deepEqual(u32Bytes(0xfffffffe), hex('fffffffe'));
  assert.deepEqual(ipv4Bytes(ip('192.168.172.1'), ip('9.9.9.9')), hex('c0a8ac01 09090909'));
  assert.deepEqual(textBytes('PXE'), hex('505845'));
});
