import { decodePacket, encodePacket, type TftpPacket } from '../tftp/packet.ts';

/** How one firmware stage speaks TFTP. */
export interface TftpDialect {
  /** The program that asks, for the transcript. */
  readonly stage: string;
  /** Options of its RRQ, in order; no Pi stage asks for any but these. */
  readonly asks: readonly ('tsize' | 'blksize')[];
  readonly blksize: number;
  readonly timeoutMs: number;
  /** What `timeoutMs` bounds: the whole file, from its RRQ on, or the time in which nothing comes. */
  readonly timeoutCovers: 'file' | 'silence';
  /** Counts on at 0 after block 65535; others cannot read further. */
  readonly rollsOver: boolean;
  /** A server that ignores options and sends DATA at once is not understood. */
  readonly needsOack: boolean;
  /** What silence means: the end of the boot, or just a missing file. */
  readonly onSilence: 'fail' | 'miss';
  /** UDP source port of its first request; each further one takes the next. */
  readonly firstPort: number;
  readonly sendsChecksum: boolean;
  readonly ttl: number;
}

export type Fetched =
  | { readonly kind: 'read'; readonly bytes: Uint8Array; readonly answer: string }
  | { readonly kind: 'probed'; readonly size: number; readonly answer: string }
  | { readonly kind: 'missing'; readonly answer: string }
  | { readonly kind: 'silent'; readonly size: number; readonly answer: string }
  | { readonly kind: 'broken'; readonly size: number; readonly answer: string };

/** Where the blocks of a file go, in order and each once. */
export interface BlockSink {
  /** The bytes are the caller's again afterwards. @returns why the file cannot be used, if it cannot. */
  write(bytes: Uint8Array, start: number, length: number): string | undefined;
  /** The whole file, or why it cannot be used. */
  finish(): Uint8Array | string;
}

export interface FetchOptions {
  readonly path: string;
  readonly dialect: TftpDialect;
  readonly purpose: 'read' | 'probe';
  /** Every wait of the firmware is multiplied by it: 1 is a real Pi. */
  readonly timeScale: number;
  /** To the server, port 69 for the RRQ, its TID afterwards. The bytes are ours again when it returns. */
  readonly send: (bytes: Uint8Array, port: number) => void;
  /** Called once, when the first DATA is there. @param size as the server told it, if it did. */
  readonly sink: (size: number | undefined) => BlockSink;
  readonly done: (fetched: Fetched) => void;
}

const RRQ_RESEND_MS = 2_000;
const LAST_BLOCK = 65_535;
const DATA = 3;
const DATA_HEADER = 4;

/**
 * One file, one block in flight, from RRQ to the last ACK (RFC 1350, 2347-2349), as firmware does it. Driven by what is
 * heard, so that a block costs neither a promise nor an allocation. Never throws for what a server does.
 */
export class TftpFetch {
  /** RRQs sent beyond the first, and blocks that came once more after they were acknowledged. */
  resends = 0;
  duplicates = 0;
  readonly #options: FetchOptions;
  readonly #rrq: Uint8Array;
  readonly #ack = Uint8Array.of(0, 4, 0, 0);
  #tid: number | undefined;
  #answer = '';
  #size: number | undefined;
  #blksize = 512;
  #sink: BlockSink | undefined;
  /** Number of the next new block, counted on past 65535; 0 before the first answer. */
  #expected = 0;
  #received = 0;
  #isDone = false;
  #resendTimer: NodeJS.Timeout | undefined;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #heardAt = 0;

  constructor(options: FetchOptions) {
    this.#options = options;
    const { dialect, path } = options;
    const value = { tsize: '0', blksize: String(dialect.blksize) };
    const asked = new Map(dialect.asks.map((name) => [name, value[name]]));
    this.#rrq = encodePacket({ kind: 'rrq', filename: path, mode: 'octet', options: asked });
  }

  /** Sends the RRQ, again every 2 s from the same port while nothing comes back (raspberrypi/rpi-eeprom#74). */
  start(): void {
    const { dialect, send, timeScale } = this.#options;
    this.#heardAt = performance.now();
    this.#expireIn(dialect.timeoutMs * timeScale);
    send(this.#rrq, 69);
    this.#resendTimer = setInterval(() => {
      this.resends += 1;
      send(this.#rrq, 69);
    }, RRQ_RESEND_MS * timeScale);
  }

  /** A datagram of the server's to this request's port. `bytes` may be used again when this returns. */
  hear(bytes: Uint8Array, start: number, length: number, port: number): void {
    if (this.#isDone || (this.#tid !== undefined && port !== this.#tid)) return;
    const isData = length >= DATA_HEADER && bytes[start] === 0 && bytes[start + 1] === DATA;
    if (isData && this.#sink) {
      const block = ((bytes[start + 2] as number) << 8) | (bytes[start + 3] as number);
      this.#hearBlock(block, bytes, start + DATA_HEADER, length - DATA_HEADER);
      return;
    }
    let packet: TftpPacket;
    try {
      packet = decodePacket(bytes.subarray(start, start + length));
    } catch {
      return; // not TFTP: passed over
    }
    if (this.#expected === 0) this.#hearFirst(packet, port);
    else if (packet.kind === 'oack' && this.#expected === 1)
      this.#acknowledge(0); // that ACK was lost
    else if (packet.kind === 'data') this.#hearFirstBlock(packet);
    else if (packet.kind === 'error')
      this.#end({
        kind: 'broken',
        size: this.#received,
        answer: `error ${packet.code} "${packet.message}" amid the file`,
      });
  }

  #hearFirst(packet: TftpPacket, port: number): void {
    const { dialect, purpose } = this.#options;
    this.#tid = port;
    clearInterval(this.#resendTimer);
    if (packet.kind === 'error')
      return void this.#end({ kind: 'missing', answer: `error ${packet.code} "${packet.message}"` });
    if (packet.kind === 'oack') {
      const fault = faultOfOack(packet.options, dialect);
      if (fault) return void this.#stop(fault);
      this.#answer = [...packet.options].map(([name, value]) => `${name}=${value}`).join(' ');
      this.#blksize = Number(packet.options.get('blksize') ?? 512);
      const tsize = packet.options.get('tsize');
      if (tsize !== undefined) this.#size = Number(tsize);
    } else if (packet.kind === 'data' && dialect.needsOack) {
      // raspberrypi/firmware#1913 and #1526: start.elf since 2020-04-16 reports "File read: -2".
      this.#sendError('options ignored');
      const answer = 'DATA without an OACK, which this stage takes for a missing file';
      return void this.#end({ kind: 'missing', answer });
    }
    if (purpose === 'probe') {
      this.#sendError('Early terminate');
      return void this.#end({ kind: 'probed', size: this.#size ?? 0, answer: this.#answer });
    }
    const size = this.#size;
    if (!dialect.rollsOver && size !== undefined && size >= LAST_BLOCK * this.#blksize)
      return void this.#stop(
        `${size} bytes in blocks of ${this.#blksize}: this stage cannot count past block ${LAST_BLOCK}, so what follows ${LAST_BLOCK * this.#blksize} bytes would be silently cut off (raspberrypi/rpi-eeprom#375, #720)`,
      );
    this.#expected = 1;
    if (packet.kind === 'oack') this.#acknowledge(0);
    else if (packet.kind === 'data') this.#hearFirstBlock(packet);
  }

  #hearFirstBlock({ block, data }: TftpPacket & { kind: 'data' }): void {
    this.#sink ??= this.#options.sink(this.#size);
    this.#hearBlock(block, data, 0, data.length);
  }

  #hearBlock(block: number, bytes: Uint8Array, start: number, length: number): void {
    if (length > this.#blksize)
      return void this.#stop(`DATA of ${length} bytes where ${this.#blksize} were agreed`);
    if (block !== (this.#expected & 0xffff)) {
      // What was acknowledged already is acknowledged again, since 2021-02.
      if (block === ((this.#expected - 1) & 0xffff) && this.#expected > 1) {
        this.duplicates += 1;
        this.#acknowledge(block);
      }
      return;
    }
    if (this.#expected > LAST_BLOCK && !this.#options.dialect.rollsOver)
      return void this.#stop(`this stage cannot count past block ${LAST_BLOCK}`);
    const fault = (this.#sink as BlockSink).write(bytes, start, length);
    if (fault) return void this.#stop(fault);
    this.#received += length;
    this.#expected += 1;
    if (this.#options.dialect.timeoutCovers === 'silence') this.#heardAt = performance.now();
    this.#acknowledge(block);
    if (length < this.#blksize) this.#finish();
  }

  #finish(): void {
    const size = this.#received;
    if (this.#size !== undefined && this.#size !== size)
      return void this.#end({ kind: 'broken', size, answer: `tsize said ${this.#size} bytes, ${size} came` });
    const bytes = (this.#sink as BlockSink).finish();
    if (typeof bytes === 'string') this.#end({ kind: 'broken', size, answer: bytes });
    else this.#end({ kind: 'read', bytes, answer: this.#answer });
  }

  #acknowledge(block: number): void {
    this.#ack[2] = block >>> 8;
    this.#ack[3] = block;
    this.#options.send(this.#ack, this.#tid as number);
  }

  #stop(reason: string): void {
    this.#sendError('Aborted');
    this.#end({ kind: 'broken', size: this.#received, answer: reason });
  }

  #sendError(message: string): void {
    this.#options.send(encodePacket({ kind: 'error', code: 0, message }), this.#tid as number);
  }

  /** Time since the last block counts for some firmware, and for some the whole file. */
  #expireIn(milliseconds: number, isLast = false): void {
    const { dialect, timeScale } = this.#options;
    this.#deadlineTimer = setTimeout(() => {
      const left = this.#heardAt + dialect.timeoutMs * timeScale - performance.now();
      if (left > 0) this.#expireIn(left);
      else if (isLast) this.#end({ kind: 'silent', size: this.#received, answer: this.#describeSilence() });
      else this.#expireIn(0, true); // what came while this process did not get to run is heard first
    }, milliseconds);
  }

  #describeSilence(): string {
    const { timeoutMs, timeoutCovers } = this.#options.dialect;
    const seconds = timeoutMs / 1000;
    if (this.#received === 0) return `no answer in ${seconds} s`;
    const waited = timeoutCovers === 'file' ? 'not finished after' : 'nothing more for';
    return `${waited} ${seconds} s, ${this.#received} bytes came`;
  }

  #end(fetched: Fetched): void {
    this.#isDone = true;
    clearInterval(this.#resendTimer);
    clearTimeout(this.#deadlineTimer);
    this.#options.done(fetched);
  }
}

/** RFC 2347: only what was asked may come back; RFC 2348: a block size not above the one asked for. */
function faultOfOack(options: ReadonlyMap<string, string>, dialect: TftpDialect): string | undefined {
  const asked: readonly string[] = dialect.asks;
  const stranger = [...options.keys()].find((name) => !asked.includes(name));
  if (stranger !== undefined) return `the OACK has "${stranger}", which was not asked for`;
  const blksize = options.get('blksize');
  if (blksize !== undefined && !(Number(blksize) >= 8 && Number(blksize) <= dialect.blksize))
    return `the OACK has blksize ${blksize}, ${dialect.blksize} was asked for`;
  const tsize = options.get('tsize');
  if (tsize !== undefined && !/^\d+$/.test(tsize)) return `the OACK has tsize "${tsize}"`;
  return undefined;
}

/** The blocks of one file by themselves, put together at its end. */
export class CollectedBlocks implements BlockSink {
  readonly #blocks: Uint8Array[] = [];

  write(bytes: Uint8Array, start: number, length: number): undefined {
    this.#blocks.push(Buffer.from(bytes.subarray(start, start + length)));
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#blocks);
  }
}
