import koffi from 'koffi';
import { libc } from './libc.ts';
import { allocateMemory, type WritableMemory } from './native-memory.ts';

// Linux's numbers, the same on amd64 and arm64.
const AF_INET = 2;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const EINTR = 4;
const EAGAIN = 11;
const POLLIN = 1;
const POLLOUT = 4;

// struct mmsghdr, iovec and sockaddr_in of 64-bit Linux, in bytes.
const MMSGHDR = 64;
const IOVEC = 16;
const SOCKADDR = 16;
/** CMSG_SPACE(2), for the segment size. */
const CONTROL = 24;

/** Writes 64-bit pointers as two halves, so that none ever becomes a BigInt. */
function setPointer(words: Uint32Array, index: number, address: number): void {
  words[index] = address; // modulo 2^32
  words[index + 1] = address / 0x1_0000_0000;
}

/** Views of one piece of memory, cut up in order. */
class Layout {
  readonly memory: WritableMemory;
  #used = 0;
  constructor(bytes: number) {
    this.memory = allocateMemory(bytes);
  }
  take(bytes: number): { readonly address: number; readonly at: number; readonly words: Uint32Array } {
    const at = this.#used;
    this.#used += (bytes + 63) & ~63;
    return {
      address: this.memory.address + at,
      at,
      words: new Uint32Array(this.memory.buffer, at, bytes / 4),
    };
  }
}

/**
 * Takes datagrams from a UDP descriptor many at a time (recvmmsg). What it shows is valid until the next
 * {@link receive}; nothing is allocated per datagram.
 */
export class UdpReceiver {
  readonly fd: number;
  readonly capacity: number;
  /** Bytes of a datagram that are kept; see {@link isTruncated}. */
  readonly stride: number;
  /** The payload of datagram `i` begins at `i * stride`. */
  readonly bytes: Uint8Array;
  readonly #layout: Layout;
  readonly #headers: Uint32Array;
  readonly #names: Uint32Array;
  readonly #headersAddress: number;

  /** @param size bytes of the largest datagram, rounded up to 64. */
  constructor(fd: number, { capacity = 64, size = 2048 }: { capacity?: number; size?: number } = {}) {
    this.fd = fd;
    this.capacity = capacity;
    this.stride = (size + 63) & ~63;
    this.#layout = new Layout(capacity * (MMSGHDR + SOCKADDR + IOVEC + this.stride) + 256);
    const headers = this.#layout.take(capacity * MMSGHDR);
    const names = this.#layout.take(capacity * SOCKADDR);
    const vectors = this.#layout.take(capacity * IOVEC);
    const payload = this.#layout.take(capacity * this.stride);
    for (let i = 0; i < capacity; i += 1) {
      const header = (i * MMSGHDR) / 4;
      setPointer(headers.words, header, names.address + i * SOCKADDR);
      headers.words[header + 2] = SOCKADDR;
      setPointer(headers.words, header + 4, vectors.address + i * IOVEC);
      headers.words[header + 6] = 1;
      const vector = (i * IOVEC) / 4;
      setPointer(vectors.words, vector, payload.address + i * this.stride);
      vectors.words[vector + 2] = this.stride;
    }
    this.#headers = headers.words;
    this.#names = names.words;
    this.#headersAddress = headers.address;
    this.bytes = new Uint8Array(this.#layout.memory.buffer, payload.at, capacity * this.stride);
  }

  /** How many datagrams were there, 0 when none; never waits. */
  receive(): number {
    const count = libc.recvmmsg(this.fd, this.#headersAddress, this.capacity, MSG_DONTWAIT, 0);
    return count > 0 ? count : 0; // an ICMP error that waited on the socket was taken with this call
  }

  length(i: number): number {
    return this.#headers[i * 16 + 14] as number;
  }

  /** Whether the datagram was longer than {@link stride}. */
  isTruncated(i: number): boolean {
    return ((this.#headers[i * 16 + 12] as number) & MSG_TRUNC) !== 0;
  }

  /** The sender's address, see {@link addressWord}. */
  address(i: number): number {
    return this.#names[i * 4 + 1] as number;
  }

  port(i: number): number {
    const word = (this.#names[i * 4] as number) >>> 16;
    return ((word & 0xff) << 8) | (word >>> 8);
  }

  /** The payload of datagram `i`, as a view. */
  payload(i: number): Uint8Array {
    return this.bytes.subarray(i * this.stride, i * this.stride + Math.min(this.length(i), this.stride));
  }

  /** Frees its memory; the descriptor stays open. */
  release(): void {
    this.#layout.memory.release();
  }
}

export interface UdpSenderOptions {
  /** Datagrams (or trains of segments) of one system call. */
  readonly capacity?: number;
  /** Parts of all datagrams of one call. */
  readonly parts?: number;
  /** Bytes of all the payload that is copied, in one call. */
  readonly room?: number;
}

/**
 * Collects datagrams and hands them to the kernel with one sendmmsg. A datagram is made of parts: bytes copied in
 * ({@link copy}) and memory that is only pointed to ({@link point}), which must stay as it is until {@link flush}.
 * A datagram of many parts with a segment size is cut by the kernel into datagrams of that size (UDP_SEGMENT): one
 * walk through the network stack for all of them.
 *
 * ```
 * if (!sender.fits(1, bytes.length)) sender.flush();
 * sender.begin(address, port, tag);
 * sender.copy(bytes);
 * sender.end();
 * ```
 */
export class UdpSender {
  readonly fd: number;
  /** Datagrams that are waiting for {@link flush}. */
  pending = 0;
  readonly #capacity: number;
  readonly #partsCapacity: number;
  readonly #room: number;
  readonly #layout: Layout;
  readonly #headers: Uint32Array;
  readonly #names: Uint32Array;
  readonly #vectors: Uint32Array;
  readonly #control: Uint32Array;
  readonly #tags: Int32Array;
  readonly #data: Uint8Array;
  readonly #view: DataView;
  readonly #headersAddress: number;
  readonly #vectorsAddress: number;
  readonly #dataAddress: number;
  readonly #poll: Poll;
  #parts = 0;
  #firstPart = 0;
  #used = 0;

  constructor(fd: number, { capacity = 64, parts = 256, room = 65_536 }: UdpSenderOptions = {}) {
    this.fd = fd;
    this.#capacity = capacity;
    this.#partsCapacity = parts;
    this.#room = room;
    this.#layout = new Layout(capacity * (MMSGHDR + SOCKADDR + CONTROL) + parts * IOVEC + room + 512);
    const headers = this.#layout.take(capacity * MMSGHDR);
    const names = this.#layout.take(capacity * SOCKADDR);
    const control = this.#layout.take(capacity * CONTROL);
    const vectors = this.#layout.take(parts * IOVEC);
    const data = this.#layout.take(room);
    for (let i = 0; i < capacity; i += 1) {
      const header = (i * MMSGHDR) / 4;
      setPointer(headers.words, header, names.address + i * SOCKADDR);
      headers.words[header + 2] = SOCKADDR;
      setPointer(headers.words, header + 8, control.address + i * CONTROL);
      const cmsg = (i * CONTROL) / 4;
      control.words[cmsg] = 16 + 2; // cmsg_len
      control.words[cmsg + 2] = SOL_UDP;
      control.words[cmsg + 3] = UDP_SEGMENT;
    }
    this.#headers = headers.words;
    this.#names = names.words;
    this.#control = control.words;
    this.#vectors = vectors.words;
    this.#headersAddress = headers.address;
    this.#vectorsAddress = vectors.address;
    this.#dataAddress = data.address;
    this.#tags = new Int32Array(capacity);
    this.#data = new Uint8Array(this.#layout.memory.buffer, data.at, room);
    this.#view = new DataView(this.#layout.memory.buffer, data.at, room);
    this.#poll = new Poll([fd]);
  }

  /** Whether there is room for one more datagram with so many parts and copied bytes. */
  fits(parts: number, bytes: number): boolean {
    return (
      this.pending < this.#capacity &&
      this.#parts + parts <= this.#partsCapacity &&
      this.#used + bytes <= this.#room
    );
  }

  /** Begins a datagram; ask {@link fits} first. `tag` is for who wants to know which one failed. */
  begin(address: number, port: number, tag = 0): void {
    const name = this.pending * 4;
    this.#names[name] = AF_INET | ((port & 0xff) << 24) | ((port >>> 8) << 16);
    this.#names[name + 1] = address;
    this.#tags[this.pending] = tag;
    this.#firstPart = this.#parts;
  }

  copy(bytes: Uint8Array): void {
    this.#data.set(bytes, this.#used);
    this.#part(this.#dataAddress + this.#used, bytes.length);
    this.#used += bytes.length;
  }

  /** Four bytes, most significant first. */
  copyWord(word: number): void {
    this.#view.setUint32(this.#used, word);
    this.#part(this.#dataAddress + this.#used, 4);
    this.#used += 4;
  }

  point(address: number, length: number): void {
    if (length > 0) this.#part(address, length);
  }

  /** Ends the datagram. @param segment bytes of each datagram that it is to be cut into; 0: it is one. */
  end(segment = 0): void {
    const header = this.pending * 16;
    setPointer(this.#headers, header + 4, this.#vectorsAddress + this.#firstPart * IOVEC);
    this.#headers[header + 6] = this.#parts - this.#firstPart;
    this.#headers[header + 10] = segment === 0 ? 0 : CONTROL;
    this.#control[(this.pending * CONTROL) / 4 + 4] = segment;
    this.pending += 1;
  }

  /**
   * Sends what is pending. Where the socket's buffer is full it waits for room, but not for long: what then cannot be
   * sent is a lost datagram.
   * @param onRefused called for each datagram that the kernel refused, with the tag, errno, and the segment size.
   */
  flush(onRefused?: (tag: number, errno: number, segment: number) => void): void {
    const count = this.pending;
    let sent = 0;
    let waits = 0;
    while (sent < count) {
      const taken = libc.sendmmsg(this.fd, this.#headersAddress + sent * MMSGHDR, count - sent, MSG_DONTWAIT);
      if (taken > 0) {
        sent += taken;
        continue;
      }
      const errno = koffi.errno();
      if (errno === EINTR) continue;
      if (errno === EAGAIN && waits < 3) {
        waits += 1;
        this.#poll.wait(5, POLLOUT);
        continue;
      }
      const hasSegments = this.#headers[sent * 16 + 10] !== 0;
      const segment = hasSegments ? (this.#control[(sent * CONTROL) / 4 + 4] as number) : 0;
      onRefused?.(this.#tags[sent] as number, errno, segment);
      sent += 1;
    }
    this.pending = 0;
    this.#parts = 0;
    this.#used = 0;
  }

  /** Frees its memory; the descriptor stays open. */
  release(): void {
    this.#poll.release();
    this.#layout.memory.release();
  }

  #part(address: number, length: number): void {
    const vector = this.#parts * 4;
    setPointer(this.#vectors, vector, address);
    this.#vectors[vector + 2] = length;
    this.#parts += 1;
  }
}

/** Waits for descriptors in the calling thread, which does nothing else meanwhile. */
export class Poll {
  readonly #memory: WritableMemory;
  readonly #shorts: Uint16Array;
  readonly #count: number;
  #events = 0;

  constructor(fds: readonly number[]) {
    this.#count = fds.length;
    this.#memory = allocateMemory(fds.length * 8);
    const words = new Int32Array(this.#memory.buffer, 0, fds.length * 2);
    this.#shorts = new Uint16Array(this.#memory.buffer, 0, fds.length * 4);
    fds.forEach((fd, i) => {
      words[i * 2] = fd;
    });
  }

  /** Returns how many are ready; 0 when the time is over. @param timeoutMs -1 waits for ever */
  wait(timeoutMs: number, events = POLLIN): number {
    if (events !== this.#events) {
      for (let i = 0; i < this.#count; i += 1) this.#shorts[i * 4 + 2] = events;
      this.#events = events;
    }
    return libc.poll(this.#memory.address, this.#count, timeoutMs);
  }

  isReady(i: number): boolean {
    return this.#shorts[i * 4 + 3] !== 0;
  }

  release(): void {
    this.#memory.release();
  }
}
