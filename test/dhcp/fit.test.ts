import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fitOptions } from '../../src/dhcp/fit.ts';
import { OPTION } from '../../src/dhcp/options.ts';
import { encodeMessage } from '../../src/dhcp/packet.ts';
import { hex, PI4 } from './fixtures/discovers.ts';
import { ask, FULL, from, ip, node, plain, replyOf } from './fixtures/world.ts';

const HEADERS = 28;
const many = Array.from({ length: 60 }, (_, index) => ip(`10.0.0.${index}`));
const sizeOf = (size: string) => [OPTION.maximumMessageSize, hex(size)] as const;

const CASES = [
  { name: 'who says nothing takes 576 bytes', options: [], mtu: 1500, most: 576 },
  { name: 'who says less than 576 takes 576', options: [sizeOf('0100')], mtu: 1500, most: 576 },
  { name: 'who says more takes more', options: [sizeOf('05dc')], mtu: 1500, most: 1500 },
  { name: 'but no more than the wire', options: [sizeOf('ffff')], mtu: 600, most: 600 },
  { name: 'a malformed size is none', options: [[57, hex('ff')] as const], mtu: 1500, most: 576 },
];

for (const { name, options, mtu, most } of CASES) {
  test(`option 57: ${name}`, () => {
    const asked = [...options, [OPTION.clientIdentifier, new Uint8Array(200)] as const];
    const network = { ...FULL, dns: many, mtu };
    const { message } = replyOf(ask({ network }, plain('discover', {}, asked)));
    const length = encodeMessage(message).length + HEADERS;
    assert.ok(length <= most, `${length} bytes`);
    const isWhole =
      message.options.has(OPTION.domainNameServer) && message.options.has(OPTION.clientIdentifier);
    assert.equal(isWhole, most >= 1000);
    for (const code of [53, 54, 51, 1, 3]) assert.ok(message.options.has(code), `option ${code}`);
  });
}

test('what a Pi needs fits by far: nothing is left out', () => {
  const { message } = replyOf(ask({ nodes: [node(PI4)] }, from(PI4)));
  assert.deepEqual([...message.options.keys()], [53, 54, 51, 58, 59, 1, 28, 3, 6, 12, 60, 66, 97, 43]);
});

test('a reply of any size is never made longer, keeps its order, and is as it was when it fits', () => {
  const options = fc.uniqueArray(
    fc.tuple(fc.constantFrom(1, 3, 6, 12, 28, 43, 51, 54, 58, 59, 61, 97), fc.uint8Array({ maxLength: 600 })),
    {
      selector: ([code]) => code,
    },
  );
  fc.assert(
    fc.property(options, fc.integer({ min: 0, max: 0xffff }), (entries, size) => {
      const given: ReadonlyMap<number, Uint8Array> = new Map(entries);
      const request = plain('discover', {}, [[57, Uint8Array.of(size >> 8, size & 0xff)]]);
      const fitted = fitOptions(given, request, 1500);
      const length = (map: ReadonlyMap<number, Uint8Array>) =>
        encodeMessage({ ...request, options: map }).length + HEADERS;
      const room = Math.min(Math.max(size, 576), 1500);
      if (length(given) <= room) assert.equal(fitted, given);
      assert.deepEqual(
        [...fitted.keys()],
        [...given.keys()].filter((code) => fitted.has(code)),
      );
      for (const code of [1, 3, 43, 51, 54]) assert.equal(fitted.has(code), given.has(code));
      const isCut = ([6, 12, 28, 58, 59, 61, 97] as const).every((code) => !fitted.has(code));
      assert.ok(length(fitted) <= room || isCut);
    }),
  );
});
