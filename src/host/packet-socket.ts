import { getSystemErrorMap } from 'node:util';
import koffi from 'koffi';
import { Refusal } from '../model/command.ts';
import { type Mac, macFromBytes } from '../net/mac.ts';
import { libc } from './libc.ts';

// Linux's numbers, the same on amd64 and arm64 (linux/if_packet.h, linux/if_ether.h, linux/sockios.h).
const AF_PACKET = 17;
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0o2000000 | 0o4000;
const ETH_P_ALL = 0x0003;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_PROMISC = 1;
const PACKET_RX_RING = 5;
const PACKET_STATISTICS = 6;
const PACKET_VERSION = 10;
const TPACKET_V2 = 1;
const PACKET_QDISC_BYPASS = 20;
const PACKET_IGNORE_OUTGOING = 23;
const SIOCGIFMTU = 0x8921;
const SIOCGIFHWADDR = 0x8927;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MSG_DONTWAIT = 0x40;
const POLLIN = 1;
const POLLOUT = 4;

/** Bytes of one frame's place, in the ring and among those to send: an Ethernet frame of MTU 1500 and its header. */
const SLOT = 2048;
const SLOTS_PER_BLOCK = 32;
// struct tpacket2_hdr: tp_status, tp_len, tp_snaplen (32 bits each), tp_mac, tp_net (16 bits each).
const TP_LEN = 4;
const TP_MAC = 12;
const TP_STATUS_USER = 1;
// struct iovec, struct mmsghdr and the place of msg_iov in it, on 64-bit machines.
const IOVEC = 16;
const MMSGHDR = 64;
const MSG_IOV = 16;
const POLLFD = 8;
/** A send buffer that stays full is waited for this many milliseconds, then its frames are dropped, as by a card. */
const LONGEST_SEND_WAIT = 20;

export interface PacketSocketOptions {
  /** Frames that can wait to be received (16 MB for the default of 8192); what comes beyond is dropped and counted. */
  readonly receiveFrames?: number;
  /** Frames that are sent by one system call at most; default 256. */
  readonly sendFrames?: number;
}

/**
 * All Ethernet frames of one interface of the network namespace this process is in, but those it sends itself:
 * AF_PACKET with a receive ring in shared memory (TPACKET_V2: no system call and no copy per frame) and sendmmsg past the
 * queueing discipline. Nothing is allocated per frame. Needs CAP_NET_RAW.
 *
 * ```
 * while (running) {
 *   socket.receive((frame, length) => { … socket.slot.set(…); socket.commit(60); });
 *   socket.flush();
 *   socket.wait(5);                    // blocks: for programs that do nothing else
 *   await new Promise(setImmediate);   // timers, promises and signals have their turn
 * }
 * ```
 * Frames that come over a veth pair may have a UDP checksum that was never computed (it is left to a card that is not
 * there), and, where the sender uses segmentation offload, be longer than the MTU: give the far end of the cable
 * `gso_max_segs 1`. What is longer than a slot comes cut off.
 */
export class PacketSocket implements Disposable {
  readonly interface: string;
  readonly mac: Mac;
  readonly mtu: number;
  readonly #fd: number;
  readonly #ringAddress: bigint;
  readonly #ringLength: number;
  readonly #arenaAddress: bigint;
  readonly #arenaLength: number;
  readonly #messages: bigint;
  readonly #pollAddress: bigint;
  readonly #receiveFrames: number;
  readonly #sendFrames: number;
  /** tp_status of every slot; the other fields lie beside it. */
  #ringWords: Int32Array;
  #ring: DataView;
  /** The frame in each slot of the ring, made when it is first used. */
  #received: Buffer[] = [];
  #next = 0;
  #toSend: Buffer[] = [];
  #lengths: DataView;
  #pollFd: DataView;
  #committed = 0;
  #isOpen = true;

  /** @throws Refusal naming the interface and the remedy. */
  constructor(name: string, { receiveFrames = 8192, sendFrames = 256 }: PacketSocketOptions = {}) {
    const { socket, setsockopt, bind, ioctl, mmap, close } = libc;
    this.interface = name;
    this.#receiveFrames = Math.ceil(receiveFrames / SLOTS_PER_BLOCK) * SLOTS_PER_BLOCK;
    this.#sendFrames = sendFrames;
    const fd = socket(AF_PACKET, SOCK_RAW_CLOEXEC_NONBLOCK, 0); // protocol 0: nothing arrives before it is bound
    if (fd < 0) throw refuse(name, koffi.errno());
    this.#fd = fd;
    const orRefuse = (result: number) => {
      if (result >= 0) return;
      const errno = koffi.errno();
      close(fd);
      throw refuse(name, errno);
    };
    const set = (level: number, option: number, ...words: number[]) => {
      const value = Buffer.from(Int32Array.from(words).buffer);
      orRefuse(setsockopt(fd, level, option, value, value.length));
    };
    const index = libc.if_nametoindex(name);
    orRefuse(index === 0 ? -1 : 0);
    set(SOL_SOCKET, SO_SNDBUFFORCE, 16 * 1024 * 1024);
    set(SOL_PACKET, PACKET_VERSION, TPACKET_V2);
    set(SOL_PACKET, PACKET_QDISC_BYPASS, 1);
    set(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    // struct tpacket_req: block size, number of blocks, frame size, number of frames
    const blocks = this.#receiveFrames / SLOTS_PER_BLOCK;
    set(SOL_PACKET, PACKET_RX_RING, SLOT * SLOTS_PER_BLOCK, blocks, SLOT, this.#receiveFrames);
    set(SOL_PACKET, PACKET_ADD_MEMBERSHIP, index, PACKET_MR_PROMISC, 0, 0);

    const request = Buffer.alloc(40); // struct ifreq
    request.write(name, 'latin1');
    orRefuse(ioctl(fd, SIOCGIFHWADDR, request));
    this.mac = macFromBytes(request.subarray(18));
    orRefuse(ioctl(fd, SIOCGIFMTU, request));
    this.mtu = request.readInt32LE(16);

    this.#ringLength = this.#receiveFrames * SLOT;
    this.#ringAddress = mmap(null, this.#ringLength, PROT_READ_WRITE, MAP_SHARED, fd, 0);
    orRefuse(isMapped(this.#ringAddress) ? 0 : -1);
    const ring = koffi.view(this.#ringAddress, this.#ringLength);
    this.#ringWords = new Int32Array(ring);
    this.#ring = new DataView(ring);

    const framesLength = sendFrames * SLOT;
    this.#arenaLength = framesLength + sendFrames * (IOVEC + MMSGHDR) + POLLFD;
    this.#arenaAddress = mmap(null, this.#arenaLength, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    orRefuse(isMapped(this.#arenaAddress) ? 0 : -1);
    const arena = koffi.view(this.#arenaAddress, this.#arenaLength);
    this.#lengths = new DataView(arena, framesLength, sendFrames * IOVEC);
    const messages = new DataView(arena, framesLength + sendFrames * IOVEC, sendFrames * MMSGHDR);
    this.#pollFd = new DataView(arena, this.#arenaLength - POLLFD);
    this.#pollAddress = this.#arenaAddress + BigInt(this.#arenaLength - POLLFD);
    this.#messages = this.#arenaAddress + BigInt(framesLength + sendFrames * IOVEC);
    for (let slot = 0; slot < sendFrames; slot++) {
      this.#toSend.push(Buffer.from(arena, slot * SLOT, SLOT));
      this.#lengths.setBigUint64(slot * IOVEC, this.#arenaAddress + BigInt(slot * SLOT), true);
      const iovec = this.#arenaAddress + BigInt(framesLength + slot * IOVEC);
      messages.setBigUint64(slot * MMSGHDR + MSG_IOV, iovec, true);
      messages.setBigUint64(slot * MMSGHDR + MSG_IOV + 8, 1n, true);
    }

    const address = Buffer.alloc(20); // struct sockaddr_ll
    address.writeUInt16LE(AF_PACKET, 0);
    address.writeUInt16BE(ETH_P_ALL, 2);
    address.writeInt32LE(index, 4);
    orRefuse(bind(fd, address, address.length));
    this.#pollFd.setInt32(0, fd, true);
  }

  /**
   * Hands each frame that has come to `take`, in order: its bytes from the Ethernet header on, in a buffer that is
   * longer than the frame and is the kernel's again when `take` returns. `take` may send.
   * @returns how many it were, `limit` at most; by default as many as the ring holds.
   */
  receive(take: (frame: Buffer, length: number) => void, limit = this.#receiveFrames): number {
    let count = 0;
    while (count < limit && this.#isOpen) {
      const at = this.#next * SLOT;
      // The kernel writes the status last; reading it so keeps what lies before it in order on any processor.
      if ((Atomics.load(this.#ringWords, at >> 2) & TP_STATUS_USER) === 0) break;
      let frame = this.#received[this.#next];
      if (!frame) {
        const start = this.#ring.getUint16(at + TP_MAC, true); // the same for every frame of one socket
        frame = Buffer.from(this.#ring.buffer as ArrayBuffer, at + start, SLOT - start);
        this.#received[this.#next] = frame;
      }
      take(frame, Math.min(this.#ring.getUint32(at + TP_LEN, true), frame.length));
      if (!this.#isOpen) return count + 1;
      Atomics.store(this.#ringWords, at >> 2, 0);
      this.#next = (this.#next + 1) % this.#receiveFrames;
      count += 1;
    }
    return count;
  }

  /** Where the next frame to be sent is to be written, from its Ethernet header on; it holds what an earlier one left. */
  get slot(): Buffer {
    if (this.#committed === this.#sendFrames) this.flush();
    return this.#toSend[this.#committed] as Buffer;
  }

  /** The first `length` bytes of {@link slot} are a frame; it leaves with the next {@link flush}. */
  commit(length: number): void {
    this.#lengths.setUint32(this.#committed * IOVEC + 8, length, true);
    this.#committed += 1;
    if (this.#committed === this.#sendFrames) this.flush();
  }

  /** Sends what was committed. @returns how many frames left; fewer than were committed when the cable takes no more. */
  flush(): number {
    const { sendmmsg } = libc;
    let sent = 0;
    let waited = 0;
    while (sent < this.#committed) {
      const messages = this.#messages + BigInt(sent * MMSGHDR);
      const result = sendmmsg(this.#fd, messages, this.#committed - sent, MSG_DONTWAIT);
      if (result > 0) sent += result;
      else if (++waited > LONGEST_SEND_WAIT) break;
      else this.#poll(POLLOUT, 1);
    }
    this.#committed = 0;
    return sent;
  }

  /** Blocks this thread until a frame is there or the time is over. @returns whether one is there. */
  wait(timeoutMs: number): boolean {
    return this.#poll(POLLIN, timeoutMs);
  }

  /** Frames that came, and those among them that found the ring full and were lost, since it was last asked. */
  statistics(): { readonly received: number; readonly dropped: number } {
    const value = Buffer.alloc(8);
    const length = Buffer.from([8, 0, 0, 0]);
    libc.getsockopt(this.#fd, SOL_PACKET, PACKET_STATISTICS, value, length);
    return { received: value.readUInt32LE(0), dropped: value.readUInt32LE(4) };
  }

  /** Afterwards no frame of it may be touched any more: its memory is gone. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#received = [];
    this.#toSend = [];
    this.#ringWords = new Int32Array(0);
    this.#ring = new DataView(new ArrayBuffer(0));
    this.#lengths = this.#ring;
    this.#pollFd = this.#ring;
    const { munmap, close } = libc;
    munmap(this.#ringAddress, this.#ringLength);
    munmap(this.#arenaAddress, this.#arenaLength);
    close(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #poll(events: number, timeoutMs: number): boolean {
    if (!this.#isOpen) return false;
    this.#pollFd.setInt16(4, events, true);
    this.#pollFd.setInt16(6, 0, true);
    return libc.poll(this.#pollAddress, 1, timeoutMs) > 0;
  }
}

/** mmap's failure is the address -1. */
function isMapped(address: bigint): boolean {
  return BigInt.asIntN(64, address) !== -1n;
}

function refuse(name: string, errno: number): Refusal {
  const [code, text] = getSystemErrorMap().get(-errno) ?? ['', `error ${errno}`];
  const remedy =
    {
      ENODEV: 'List the interfaces with "ip link" and name one of them.',
      EPERM: 'Run it as root or with CAP_NET_RAW.',
      EACCES: 'Run it as root or with CAP_NET_RAW.',
    }[code] ?? 'See "ip link" for the state of the interface.';
  return new Refusal(`The interface "${name}" cannot be opened for whole frames: ${text}`, remedy);
}
