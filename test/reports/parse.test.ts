import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../src/net/bytes.ts';
import { macOfAnswer, macOfRequest } from '../../src/reports/mac.ts';
import { parseIdentityRequest, parseReport } from '../../src/reports/parse.ts';
import { renderAgain, renderIdentity, renderTaken } from '../../src/reports/render.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

test('MACs are those that sha256sum and a page of RFC 2104 give', () => {
  // printf '/v1/report\nserial 9ffefdef\n' | openssl dgst -sha256 -hmac mi9n60w0.AAAAAAAAAAAAAAAAAAAAAA
  const key = 'mi9n60w0.AAAAAAAAAAAAAAAAAAAAAA';
  const request = macOfRequest(key, '/v1/report', bytes('serial 9ffefdef\n'));
  assert.equal(request, '6cef36c39df4f669e61de8ba4f0918f112c94116ca3647954e26cf9923f971da');
  // printf 'answer\n<that>\nrun a1\n' | openssl dgst -sha256 -hmac …
  assert.equal(
    macOfAnswer(key, request, 'run a1\n'),
    '0ab9509a97ff61d6f26f30fd95cf7bda166a6f304a6c9e1df116f6bc52d168e9',
  );
});

test('answers, byte by byte', () => {
  assert.equal(renderTaken('a1', undefined), 'run a1\n');
  assert.equal(renderTaken('a1', { id: '0f', order: { kind: 'reboot' } }), 'run a1\norder 0f reboot\n');
  assert.equal(
    renderTaken('a1', { id: '0f', order: { kind: 'isolate', target: 'web.target' } }),
    'run a1\norder 0f isolate web.target\n',
  );
  assert.equal(renderAgain('a1', 7), 'run a1\nseq 7\n');
  const identity = {
    reportKey: 'ab',
    run: 'a1',
    hostKey: { privateKey: 'private\n', publicKey: 'ssh-ed25519 AAAA 9ffefdef' },
    files: [{ path: '/etc/a', mode: '0600', owner: 'root', group: 'ssl-cert', content: 'YQ==' }],
    block: '/var/lib/containers',
  };
  assert.equal(
    renderIdentity(identity),
    'report-key ab\nrun a1\nhost-key cHJpdmF0ZQo=\nhost-key-public ssh-ed25519 AAAA 9ffefdef\n' +
      'file 0600 root ssl-cert /etc/a YQ==\nblock /var/lib/containers\n',
  );
});

test('a request for an identity', () => {
  const body = bytes(`serial 9ffefdef\nsince mi9n60w0\nnonce ${'0f'.repeat(16)}\n`);
  const parsed = parseIdentityRequest(body);
  assert.deepEqual(parsed, { serial: '9ffefdef', since: 1_763_776_800_000, nonce: '0f'.repeat(16) });
});

const GOOD =
  'serial 9ffefdef\nrun a1\nseq 1\nwait 600\ngeneration web-1\nroot private\nuptime 1.5\nclock 0\nstate running\n';

test('a node may wait for a minute, and no longer', () => {
  assert.equal(parseReport(bytes(GOOD)).waitSeconds, 60);
});

test('whatever comes is a report or a WireError', () => {
  const words = fc.constantFrom(
    ...GOOD.split(/[ \n]/),
    'failed',
    'disk',
    '-',
    '\u0000',
    ' ',
    '\n',
    '1e9',
    'é',
  );
  const shuffled = fc.array(words, { maxLength: 60 }).map((found) => bytes(found.join(' ')));
  const cut = fc
    .tuple(fc.nat(GOOD.length), fc.string(), fc.nat(20))
    .map(([at, text, length]) => bytes(GOOD.slice(0, at) + text + GOOD.slice(at + length)));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), shuffled, cut), (body) => {
      for (const parse of [parseReport, parseIdentityRequest]) {
        try {
          parse(body);
        } catch (error) {
          assert.ok(error instanceof WireError, String(error));
        }
      }
    }),
    { numRuns: 2000 },
  );
});
