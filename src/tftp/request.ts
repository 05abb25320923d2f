import { WireError } from '../net/bytes.ts';
import { decodePacket, errorCode, type TftpPacket } from './packet.ts';

/** What opens a transfer: a packet to the service port. */
export type Request = Extract<TftpPacket, { kind: 'rrq' | 'wrq' }>;

/** `undefined` for whatever does not open a transfer, decodable or not. */
export function decodeRequest(bytes: Uint8Array): Request | undefined {
  try {
    const packet = decodePacket(bytes);
    return packet.kind === 'rrq' || packet.kind === 'wrq' ? packet : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** Why a request is never served; `undefined` for one that may be. */
export function refusalOf(request: Request): { code: number; message: string } | undefined {
  if (request.kind === 'wrq') {
    return { code: errorCode.accessViolation, message: 'this server is read-only: nothing can be written' };
  }
  if (request.mode !== 'octet') {
    const message = `mode "${request.mode.slice(0, 32)}" is not served: use octet (binary)`;
    return { code: errorCode.illegalOperation, message };
  }
  return undefined;
}

export function isSameRequest(one: Request, other: Request): boolean {
  const text = ({ kind, filename, mode, options }: Request) =>
    JSON.stringify([kind, filename, mode, ...options]);
  return text(one) === text(other);
}
