import type dgram from 'node:dgram';
import { encodePacket } from './packet.ts';
import type { Peer } from './session.ts';

/** Tells clients why they get no file. */
export interface ErrorSocket {
  /** Never rejects: an error that cannot be sent is a datagram that got lost. */
  send(to: Peer, code: number, message: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * One socket for all the errors of an interface, opened at the first. A client takes the source port of the first
 * answer for the server's TID and does not expect the service port there (RFC 1350 section 4); whether every Pi ROM
 * would take an answer from port 69 nobody has recorded. A port that is not 69 is all a client can see of a fresh
 * TID, so a miss, the commonest answer a Pi gets, costs no socket. `fallback` is the listener: when no socket can be
 * opened, an answer from port 69 is better than silence, which costs a Pi 4 up to 30 s.
 */
export function createErrorSocket(open: () => Promise<dgram.Socket>, fallback: dgram.Socket): ErrorSocket {
  let opening: Promise<dgram.Socket> | undefined;

  async function socket(): Promise<dgram.Socket> {
    opening ??= open().then((opened) => opened.on('error', () => {}));
    try {
      return await opening;
    } catch {
      opening = undefined; // the next error tries again
      return fallback;
    }
  }

  return {
    async send(to, code, message) {
      const from = await socket();
      const packet = encodePacket({ kind: 'error', code, message });
      await new Promise<void>((resolve) => from.send(packet, to.port, to.address, () => resolve())).catch(
        () => {}, // closed meanwhile
      );
    },
    async close() {
      const opened = await opening?.catch(() => undefined);
      if (opened) await new Promise<void>((resolve) => opened.close(() => resolve()));
    },
  };
}
