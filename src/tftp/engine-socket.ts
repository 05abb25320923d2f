import { WireError } from '../net/bytes.ts';
import { isSegmentError } from './errno.ts';
import { decodePacket, encodePacket, type TftpPacket } from './packet.ts';
import { PeerTable } from './peer-table.ts';
import type { Running } from './running.ts';

/** Datagrams that came, many at a time; what it shows is valid until the next `receive`. */
export interface DatagramReceiver {
  readonly capacity: number;
  readonly stride: number;
  readonly bytes: Uint8Array;
  receive(): number;
  length(i: number): number;
  isTruncated(i: number): boolean;
  address(i: number): number;
  port(i: number): number;
  payload(i: number): Uint8Array;
  release(): void;
}

/** Collects datagrams made of copied bytes and of memory that is pointed to, and sends them with one call. */
export interface DatagramSender {
  readonly pending: number;
  fits(parts: number, bytes: number): boolean;
  begin(address: number, port: number, tag?: number): void;
  copy(bytes: Uint8Array): void;
  copyWord(word: number): void;
  point(address: number, length: number): void;
  end(segment?: number): void;
  flush(onRefused?: OnRefused): void;
  release(): void;
}

export type OnRefused = (tag: number, errno: number, segment: number) => void;

export type OpenDatagrams = (fd: number) => {
  readonly receiver: DatagramReceiver;
  readonly sender: DatagramSender;
};

const DATA = 0x0003_0000;
/** The kernel cuts a train into at most 64 datagrams, and it is no longer than one datagram may be. */
const MAX_TRAIN_SEGMENTS = 64;
const MAX_TRAIN_BYTES = 65_000;
/** Tag of what belongs to no transfer. */
const NOBODY = -1;

/** One transfer socket: its port is the TID of all transfers that go by it; their clients tell them apart. */
export class EngineSocket {
  readonly fd: number;
  readonly receiver: DatagramReceiver;
  readonly sender: DatagramSender;
  /** Which transfer a peer has on this socket. */
  readonly peers: PeerTable;
  /** There may be something to receive: it was told so, or there was much a moment ago. */
  isReady = true;
  /** Until the kernel says that the interface cannot have windows cut into datagrams. */
  #canSegment = true;
  #onRefused: OnRefused = () => {};
  readonly #refuse: OnRefused = (tag, errno, segment) => {
    // A window that could not be cut is one that got lost: from the next on every block goes by itself.
    if (segment > 0 && isSegmentError(errno)) this.#canSegment = false;
    this.#onRefused(tag, errno, segment);
  };

  constructor(fd: number, datagrams: ReturnType<OpenDatagrams>, transfers: number, seed: number) {
    this.fd = fd;
    this.receiver = datagrams.receiver;
    this.sender = datagrams.sender;
    this.peers = new PeerTable(transfers, seed);
  }

  /** The block that datagram `i` acknowledges; -1 when it is no ACK. */
  ackOf(i: number): number {
    const { receiver } = this;
    if (receiver.length(i) < 4) return -1;
    const at = i * receiver.stride;
    const { bytes } = receiver;
    if (bytes[at] !== 0 || bytes[at + 1] !== 4) return -1;
    return ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  }

  decode(i: number): TftpPacket | undefined {
    if (this.receiver.isTruncated(i)) return undefined;
    try {
      return decodePacket(this.receiver.payload(i));
    } catch (error) {
      if (error instanceof WireError) return undefined;
      throw error;
    }
  }

  /** Sends what the transfer has opened. @returns bytes of file data that were put to the datagrams */
  sendWindow(running: Running, onRefused: OnRefused): number {
    return this.sendBlocks(running, running.transfer.first, running.transfer.last, onRefused);
  }

  /** @returns bytes of file data that were put to the datagrams */
  sendBlocks(running: Running, first: number, last: number, onRefused: OnRefused): number {
    if (last < first) return 0;
    if (last === 0) {
      this.#sendOack(running, onRefused);
      return 0;
    }
    if (first === last || !this.#canSegment) {
      let bytes = 0;
      for (let block = first; block <= last; block += 1) {
        if (!this.sender.fits(2, 4)) this.flush(onRefused);
        this.sender.begin(running.address, running.port, running.index);
        bytes += this.#addBlock(running, block);
        this.sender.end();
      }
      return bytes;
    }
    return this.#sendTrains(running, first, last, onRefused);
  }

  sendError(to: { readonly address: number; readonly port: number }, code: number, message: string): void {
    const packet = encodePacket({ kind: 'error', code, message });
    if (!this.sender.fits(1, packet.length)) this.sender.flush();
    this.sender.begin(to.address, to.port, NOBODY);
    this.sender.copy(packet);
    this.sender.end();
  }

  flush(onRefused: OnRefused): void {
    this.#onRefused = onRefused;
    this.sender.flush(this.#refuse);
  }

  release(): void {
    this.sender.flush();
    this.receiver.release();
    this.sender.release();
  }

  #sendOack(running: Running, onRefused: OnRefused): void {
    const oack = running.oack as Uint8Array;
    if (!this.sender.fits(1, oack.length)) this.flush(onRefused);
    this.sender.begin(running.address, running.port, running.index);
    this.sender.copy(oack);
    this.sender.end();
  }

  #sendTrains(running: Running, first: number, last: number, onRefused: OnRefused): number {
    const segment = running.transfer.terms.blockSize + 4;
    const most = Math.min(MAX_TRAIN_SEGMENTS, Math.floor(MAX_TRAIN_BYTES / segment)) || 1;
    let bytes = 0;
    for (let from = first; from <= last; from += most) {
      const to = Math.min(last, from + most - 1);
      if (!this.sender.fits((to - from + 1) * 2, (to - from + 1) * 4)) this.flush(onRefused);
      this.sender.begin(running.address, running.port, running.index);
      for (let block = from; block <= to; block += 1) bytes += this.#addBlock(running, block);
      this.sender.end(from === to ? 0 : segment);
    }
    return bytes;
  }

  #addBlock(running: Running, block: number): number {
    const { blockSize } = running.transfer.terms;
    const offset = (block - 1) * blockSize;
    const length = Math.min(blockSize, running.size - offset);
    this.sender.copyWord(DATA | (block & 0xffff));
    this.sender.point(running.file + offset, length);
    return length;
  }
}
