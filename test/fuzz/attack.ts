/** What the attacker is told on its standard input, one a line as JSON. */
export type AttackOrder =
  /** Packets per second from now on. */
  | { readonly rate: number }
  /** Write the latest packets into this file. */
  | { readonly dump: string }
  | { readonly stop: true };

/** Datagrams and connections sent, by what they were aimed at. */
export interface AttackCounts {
  dhcp: number;
  pxe: number;
  /** To port 68, where the service listens for other DHCP servers. */
  rival: number;
  tftp: number;
  /** To the ports of running transfers, or where one might be. */
  transfer: number;
  /** Of 65,507 bytes or none. */
  extreme: number;
  http: number;
}

/** What it writes on its standard output, one a line as JSON, about twice a second. */
export interface AttackReport {
  readonly sent: AttackCounts;
  /** Answers that came to it, and transfers and offers it got hold of. */
  readonly heard: number;
  readonly transfers: number;
  readonly offers: number;
  readonly isOver?: boolean;
}

/** One interface of the attacker's and whom it leads to. */
export interface AttackWire {
  readonly interface: string;
  readonly server: string;
  readonly serverMac: string;
  /** The port that is not served here would only cost time. */
  readonly mode: 'full' | 'proxy';
}

export interface AttackTask {
  readonly wires: readonly AttackWire[];
  readonly seed: number;
  readonly rate: number;
  /** It ends after so many, if it is not stopped before. */
  readonly packets: number;
  /** TCP port of HTTP boot, where it is served. */
  readonly httpPort?: number;
}

/** A packet as it was sent, for a look at what did harm. */
export interface SentPacket {
  readonly port: number;
  readonly payload: Uint8Array;
}

/** Port and length, each in two bytes, then the payload: again and again. */
export function encodeDump(packets: readonly SentPacket[]): Uint8Array {
  return Buffer.concat(
    packets.flatMap(({ port, payload }) => [
      Uint8Array.of(port >> 8, port & 0xff, payload.length >> 8, payload.length & 0xff),
      payload,
    ]),
  );
}

export function decodeDump(dump: Buffer): SentPacket[] {
  const packets: SentPacket[] = [];
  for (let at = 0; at + 4 <= dump.length; ) {
    const end = at + 4 + dump.readUInt16BE(at + 2);
    packets.push({ port: dump.readUInt16BE(at), payload: dump.subarray(at + 4, end) });
    at = end;
  }
  return packets;
}
