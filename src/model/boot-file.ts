import type { Ipv4 } from '../net/ipv4.ts';

/** Who asks for a boot file, as the socket tells it. */
export interface BootClient {
  readonly address: Ipv4;
  /** The configured interface the request came in by. */
  readonly interface: string;
}

/** A file on a disk, for who would rather map it than read it. */
export interface BootFileSource {
  /** Open until the boot file is closed. */
  readonly fd: number;
  /** Another one when it is another file, or was written to. */
  readonly identity: string;
  /** Nobody writes to it any more. */
  readonly isSealed: boolean;
  /** What this boot file has in place of the disk's bytes, from `at` to its end. */
  readonly patch?: { readonly at: number; readonly bytes: Uint8Array };
  /** Whether it is still as it was opened. */
  isUnchanged(): Promise<boolean>;
}

/** An opened file of a boot tree. What was opened is what is read to the end, whatever is published meanwhile. */
export interface BootFile {
  readonly size: number;
  /** The same for the same bytes and for no others; absent where nobody knows. */
  readonly version?: string;
  /** Absent where the bytes lie in no file of their own. */
  readonly source?: BootFileSource;
  /** At most `length` bytes from `offset`; fewer only at the end of the file. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
  /** To be called when the client has it, or as much of it as it wanted; who holds files longer closes them later. */
  readonly done?: () => void;
}

/** A miss is a normal answer (a Pi probes for a dozen files it need not have); the reason is for the log and the wire. */
export interface Missing {
  readonly kind: 'missing';
  readonly reason: string;
}

/** The one question TFTP and HTTP ask: the file a client means by a path, or why there is none. */
export type OpenBootFile = (
  client: BootClient,
  path: string,
) => Promise<({ readonly kind: 'file' } & BootFile) | Missing>;
