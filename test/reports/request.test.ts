import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadRequest, type Request, RequestReader } from '../../src/reports/request.ts';

const MAC = 'ab'.repeat(32);
const BODY = 'serial 9ffefdef\n';
const GOOD = `POST /v1/report HTTP/1.1\r\nHost: a:8064\r\nContent-Length: ${BODY.length}\r\nNETBOOT-MAC:  ${MAC} \r\n\r\n${BODY}`;

function readIn(pieces: readonly string[]): Request | undefined {
  const reader = new RequestReader();
  let request: Request | undefined;
  for (const piece of pieces) request = reader.add(Buffer.from(piece, 'latin1'));
  return request;
}

test('a request is the same in whatever pieces it comes', () => {
  const cuts = fc.uniqueArray(fc.nat({ max: GOOD.length }), { maxLength: 20 });
  fc.assert(
    fc.property(cuts, (at) => {
      const ends = [...at.filter((end) => end > 0 && end < GOOD.length).sort((a, b) => a - b), GOOD.length];
      const pieces = ends.map((end, nth) => GOOD.slice(ends[nth - 1] ?? 0, end));
      const request = readIn(pieces);
      assert.deepEqual(
        { ...request, body: request?.body.toString() },
        {
          method: 'POST',
          path: '/v1/report',
          mac: MAC,
          body: BODY,
        },
      );
    }),
  );
});

const BAD: Array<{ given: string; text: string; status: number }> = [
  { given: 'another protocol', text: 'SSH-2.0-OpenSSH_9.2\r\n', status: 400 },
  { given: 'a line that is no header', text: 'POST / HTTP/1.1\r\nhello\r\n\r\n', status: 400 },
  { given: 'a folded header', text: 'POST / HTTP/1.1\r\nA: b\r\n c\r\n\r\n', status: 400 },
  { given: 'a name with a blank before its colon', text: 'POST / HTTP/1.1\r\nA : b\r\n\r\n', status: 400 },
  { given: 'a control character', text: 'POST / HTTP/1.1\r\nA: b\x01\r\n\r\n', status: 400 },
  {
    given: 'two lengths',
    text: 'POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    status: 400,
  },
  { given: 'a length that is none', text: 'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n', status: 400 },
  { given: 'more than its length', text: 'POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nab', status: 400 },
  { given: 'chunks', text: 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n', status: 411 },
  { given: 'a large body', text: 'POST / HTTP/1.1\r\nContent-Length: 16385\r\n\r\n', status: 413 },
  { given: 'a head without end', text: `POST / HTTP/1.1\r\nA: ${'a'.repeat(5000)}`, status: 431 },
  { given: 'a path without end', text: `POST /${'a'.repeat(5000)}`, status: 431 },
];
for (const { given, text, status } of BAD) {
  test(`${given}: ${status}`, () => {
    assert.throws(
      () => readIn([text]),
      (error) => error instanceof BadRequest && error.status === status,
    );
  });
}

test('whatever comes is a request, the beginning of one, or a BadRequest', () => {
  const words = fc.constantFrom(...GOOD.split(/(?<=[\r\n: ])/), '\r\n\r\n', 'Transfer-Encoding: x', '\0');
  fc.assert(
    fc.property(fc.array(fc.oneof(words, fc.string({ unit: 'binary' })), { maxLength: 30 }), (pieces) => {
      try {
        readIn(pieces);
      } catch (error) {
        assert.ok(error instanceof BadRequest, String(error));
      }
    }),
  );
});
