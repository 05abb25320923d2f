import { createHmac, timingSafeEqual } from 'node:crypto';

/** The header that every request, and every answer but a refusal, is signed in: HMAC-SHA256 (RFC 2104) in lower-case hex. */
export const MAC_HEADER = 'Netboot-Mac';

/**
 * The key is a text as it was given, the token of the command line or the report key: its ASCII bytes, nothing decoded.
 * What is signed is the path, a line feed, and the body as it goes over the wire.
 */
export function macOfRequest(key: string, path: string, body: Uint8Array | string): string {
  return createHmac('sha256', key).update(`${path}\n`).update(body).digest('hex');
}

/** An answer is bound to the request that it answers by that one's MAC: it is good for no other. */
export function macOfAnswer(key: string, requestMac: string, body: string): string {
  return createHmac('sha256', key).update(`answer\n${requestMac}\n`).update(body).digest('hex');
}

/** In the time that it takes, whether the first digit differs or the last. */
export function isSameMac(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
