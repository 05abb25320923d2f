import type dgram from 'node:dgram';
import { encodePacket } from './packet.ts';
import type { Peer } from './slots.ts';

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
  let isClosed = false;

  async function socket(): Promise<dgram.Socket> {
    if (isClosed) return fallback;
    opening ??= open().then((opened) => opened.on('error', () => {}));
    try {
      return await opening;
    } catch {
      opening = undefined; // the next error tries again
      return fallback;
    }
  }

  /** Two errors may fail by one socket: the second must not end the one that the first has opened since. */
  async function discard(failed: dgram.Socket): Promise<void> {
    const held = opening;
    if ((await held?.catch(() => undefined)) !== failed || opening !== held) return;
    opening = undefined;
    failed.close();
  }

  return {
    async send(to, code, message) {
      const packet = encodePacket({ kind: 'error', code, message });
      const from = await socket();
      if (await trySend(from, packet, to)) return;
      // It is bound to an address that the interface may have lost; a new one is bound to the address of now.
      await discard(from);
      await trySend(await socket(), packet, to);
    },
    async close() {
      isClosed = true;
      const held = opening;
      opening = undefined;
      const opened = await held?.catch(() => undefined);
      if (opened) await new Promise<void>((resolve) => opened.close(() => resolve()));
    },
  };
}

/** Whether the datagram is with the kernel. */
async function trySend(from: dgram.Socket, packet: Uint8Array, to: Peer): Promise<boolean> {
  try {
    await new Promise<void>((resolve, reject) =>
      from.send(packet, to.port, to.address, (error) => (error ? reject(error) : resolve())),
    );
    return true;
  } catch {
    return false; // no route from its address, or closed meanwhile
  }
}
