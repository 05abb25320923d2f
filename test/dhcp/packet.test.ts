import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DhcpMessage, decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { WireError } from '../../src/net/bytes.ts';
import { ipv4FromNumber } from '../../src/net/ipv4.ts';
import { macFromBytes } from '../../src/net/mac.ts';
import { FIRMWARES, hex } from './fixtures/discovers.ts';
import { mac, plain } from './fixtures/world.ts';

const address = fc.integer({ min: 0, max: 0xffffffff }).map(ipv4FromNumber);
const word = fc.integer({ min: 0, max: 0xffff });
const text = (maxLength: number) =>
  fc.array(fc.integer({ min: 1, max: 255 }), { maxLength }).map((codes) => String.fromCharCode(...codes));
const code = fc.integer({ min: 1, max: 254 }).filter((value) => value !== 52 && value !== 82);

const anyMessage: fc.Arbitrary<DhcpMessage> = fc.record(
  {
    op: fc.constantFrom(1 as const, 2 as const),
    htype: fc.integer({ min: 0, max: 255 }),
    hops: fc.integer({ min: 0, max: 255 }),
    xid: fc.integer({ min: 0, max: 0xffffffff }),
    secs: word,
    flags: word,
    ciaddr: address,
    yiaddr: address,
    siaddr: address,
    giaddr: address,
    chaddr: fc.uint8Array({ minLength: 6, maxLength: 6 }).map(macFromBytes),
    sname: text(64),
    file: text(128),
    options: fc
      .tuple(
        fc.array(fc.tuple(code, fc.uint8Array({ maxLength: 600 })), { maxLength: 6 }),
        fc.option(fc.uint8Array({ maxLength: 60 }), { nil: undefined }),
      )
      .map(([entries, relay]) => new Map([...entries, ...(relay ? [[82, relay] as const] : [])])),
  },
  { noNullPrototype: true },
);

/** A message's bytes with the given fields and options as hexadecimal. */
function raw({
  options,
  sname = '',
  file = '',
}: {
  options: string;
  sname?: string;
  file?: string;
}): Uint8Array {
  const bytes = new Uint8Array(240 + hex(options).length);
  bytes.set(hex('01 01 06 00'));
  bytes.set(hex(sname), 44);
  bytes.set(hex(file), 108);
  bytes.set(hex('63825363'), 236);
  bytes.set(hex(options), 240);
  return bytes;
}

test('decode(encode(message)) is the message', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const decoded = decodeMessage(encodeMessage(message));
      assert.deepEqual(decoded, message);
      assert.deepEqual([...decoded.options.keys()], [...message.options.keys()], 'the order of the options');
    }),
  );
});

test('any bytes are a message or a WireError', () => {
  const decodes = (bytes: Uint8Array) => {
    try {
      decodeMessage(bytes);
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1500 }), decodes));
  const withHeader = fc
    .uint8Array({ maxLength: 1500 })
    .map((tail) => Uint8Array.of(...raw({ options: '' }), ...tail));
  fc.assert(fc.property(withHeader, decodes), { numRuns: 500 });
});

test('a decoded message can be encoded again and then says the same', () => {
  const withHeader = fc
    .uint8Array({ maxLength: 600 })
    .map((tail) => Uint8Array.of(...raw({ options: '' }), ...tail));
  fc.assert(
    fc.property(withHeader, (bytes) => {
      let message: DhcpMessage;
      try {
        message = decodeMessage(bytes);
      } catch {
        return;
      }
      assert.deepEqual(decodeMessage(encodeMessage(message)), message);
    }),
  );
});

for (const { name, bytes, length, mac: sender } of FIRMWARES) {
  test(`the DISCOVER of ${name}`, () => {
    assert.equal(bytes.length, length, 'the fixture is as long as the firmware’s datagram');
    const message = decodeMessage(bytes);
    assert.equal(message.chaddr, sender);
    assert.deepEqual([...message.options.keys()], [53, 55, 93, 94, 97, 60]);
    assert.deepEqual(encodeMessage(message), bytes);
  });
}

const READINGS = [
  {
    name: 'PAD between options',
    given: { options: '00 00 35 01 01 00 0c 01 61 ff' },
    has: { 53: '01', 12: '61' },
  },
  { name: 'nothing after END counts', given: { options: '35 01 01 ff 0c 01 61' }, has: { 53: '01' } },
  { name: 'a missing END is tolerated', given: { options: '35 01 01' }, has: { 53: '01' } },
  { name: 'an empty option is kept', given: { options: '35 01 01 50 00 ff' }, has: { 53: '01', 80: '' } },
  {
    name: 'repeats are joined (RFC 3396)',
    given: { options: '2b 02 0102 35 01 01 2b 01 03 ff' },
    has: { 43: '010203', 53: '01' },
  },
  {
    name: 'overload of file',
    given: { options: '34 01 01 35 01 01 ff', file: '0c 01 61 ff' },
    has: { 53: '01', 12: '61' },
  },
  {
    name: 'overload of sname',
    given: { options: '34 01 02 35 01 01 ff', sname: '0c 01 61 ff' },
    has: { 53: '01', 12: '61' },
  },
  {
    name: 'overload of both, joined in the order options, file, sname',
    given: { options: '34 01 03 0c 01 61 ff', file: '0c 01 62 ff', sname: '0c 01 63 ff' },
    has: { 12: '616263' },
  },
  {
    name: 'an overload option inside an overloaded field means nothing',
    given: { options: '34 01 01 ff', file: '34 01 02 ff', sname: '0c 01 63 ff' },
    has: {},
  },
];

for (const { name, given, has } of READINGS) {
  test(name, () => {
    const options = [...decodeMessage(raw(given)).options].map(([key, value]) => [
      key,
      Buffer.from(value).toString('hex'),
    ]);
    assert.deepEqual(Object.fromEntries(options), has);
  });
}

test('an overloaded field is no text', () => {
  const message = decodeMessage(raw({ options: '34 01 03 ff', file: '0c 01 62 ff', sname: '0c 01 63 ff' }));
  assert.deepEqual([message.file, message.sname], ['', '']);
});

const REFUSALS: ReadonlyArray<{ name: string; bytes: Uint8Array; says: RegExp }> = [
  { name: 'nothing', bytes: new Uint8Array(), says: /op needs 1 bytes, 0 are left/ },
  { name: 'a short header', bytes: raw({ options: '' }).subarray(0, 100), says: /sname needs 64 bytes/ },
  { name: 'another cookie', bytes: raw({ options: '' }).with(236, 1), says: /magic cookie is 1825363/ },
  { name: 'another op', bytes: raw({ options: '' }).with(0, 3), says: /op is 3/ },
  { name: 'another address length', bytes: raw({ options: '' }).with(2, 16), says: /hlen is 16/ },
  { name: 'an option without its length', bytes: raw({ options: '35' }), says: /option 53's length/ },
  {
    name: 'an option that runs past the end',
    bytes: raw({ options: '35 04 01' }),
    says: /option 53 needs 4 bytes, 1 are left/,
  },
  {
    name: 'more than any message has',
    bytes: raw({ options: '00'.repeat(3857) }),
    says: /4097 bytes are more/,
  },
  {
    name: 'the same in an overloaded field',
    bytes: raw({ options: '34 01 02 ff', sname: `0c ff ${'61'.repeat(62)}` }),
    says: /option 12 needs 255/,
  },
];

for (const { name, bytes, says } of REFUSALS) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => decodeMessage(bytes),
      (error: Error) => error instanceof WireError && says.test(error.message),
    );
  });
}

test('the largest datagram, all of repeats, is refused at once; the largest message is read at once', () => {
  const repeats = (count: number) => raw({ options: '2b 01 07'.repeat(count) });
  const startedAt = performance.now();
  assert.throws(() => decodeMessage(repeats(21_755)), WireError);
  assert.equal(decodeMessage(repeats(1285)).options.get(43)?.length, 1285);
  const took = performance.now() - startedAt;
  assert.ok(took < 200, `${took} ms`);
});

test('a message has at least 300 bytes and relay agent information goes last', () => {
  const relay = [82, hex('0104 00000001')] as const;
  const bytes = encodeMessage(plain('discover', {}, [relay, [12, hex('61')]]));
  assert.equal(bytes.length, 300);
  assert.deepEqual(bytes.subarray(240, 240 + 15), hex('35 01 01 0c 01 61 52 06 0104 00000001 ff'));
});

test('a long value is split into 255 and the rest', () => {
  const bytes = encodeMessage(plain('discover', {}, [[43, new Uint8Array(256).fill(7)]]));
  assert.deepEqual(
    [bytes[243], bytes[244], bytes[500], bytes[501], bytes[502], bytes[503]],
    [43, 255, 43, 1, 7, 255],
  );
});

test('what no datagram can hold is our mistake', () => {
  for (const own of [0, 52, 255]) {
    assert.throws(() => encodeMessage(plain('discover', {}, [[own, hex('01')]])), RangeError);
  }
  assert.throws(() => encodeMessage(plain('discover', { file: 'x'.repeat(129) })), RangeError);
});

test('the MAC is the first six bytes of chaddr', () => {
  const message = plain('discover', { chaddr: mac('dc:a6:32:01:36:c2') });
  assert.deepEqual(encodeMessage(message).subarray(28, 44), hex(`dca6320136c2 ${'00'.repeat(10)}`));
});
