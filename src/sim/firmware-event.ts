import type { Ipv4 } from '../net/ipv4.ts';

/** One file the firmware asked for, and how that ended. */
export interface FileRequest {
  /** The program on the Pi that asked: `ROM`, `bootcode.bin`, `EEPROM`, `start4.elf`, … */
  readonly stage: string;
  readonly path: string;
  /** `probed`: it is there, the transfer was broken off on purpose; `broken`: the answer was not to be used. */
  readonly outcome: 'read' | 'probed' | 'missing' | 'silent' | 'broken';
  /** Bytes that arrived; for a probe the size the server told, if it did. */
  readonly size: number;
  readonly ms: number;
  /** The options of the OACK, if there was one, or the error. */
  readonly answer: string;
}

/** What the virtual Pi did or heard, in order; transcript.ts makes it a line to read. */
export type FirmwareEvent =
  | { readonly kind: 'stage'; readonly name: string }
  | { readonly kind: 'discover'; readonly bytes: number; readonly xid: number }
  | {
      readonly kind: 'offer';
      readonly source: Ipv4;
      readonly yiaddr: Ipv4;
      readonly siaddr: Ipv4;
      readonly bootText: string;
      readonly option66: string;
      readonly ms: number;
    }
  | { readonly kind: 'waiting'; readonly reasons: readonly string[] }
  | { readonly kind: 'request'; readonly address: Ipv4; readonly server: Ipv4 }
  | { readonly kind: 'nak'; readonly source: Ipv4 }
  | {
      readonly kind: 'address';
      readonly address: Ipv4;
      readonly prefix: number;
      readonly tftpServer: Ipv4;
      readonly isAcknowledged: boolean;
    }
  | ({ readonly kind: 'file' } & FileRequest)
  | { readonly kind: 'note'; readonly text: string };
