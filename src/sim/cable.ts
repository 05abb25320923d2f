import type { PacketSocket } from '../host/packet-socket.ts';
import { FrameReader } from '../net/frame.ts';
import { type Mac, macToBytes } from '../net/mac.ts';
import { FaultSource, type Impairment } from './impairment.ts';
import { Lane } from './lane.ts';
import { LateFrames } from './late-frames.ts';

/** Who has a MAC address on the cable. */
export interface Station {
  readonly mac: Mac;
  /** A frame for it; the reader has read it. */
  hear(frame: Buffer, kind: 'udp' | 'arp', reader: FrameReader): void;
}

/** A station's place on the cable. */
export interface Plug {
  readonly toStation: Lane;
  /** Every frame the station sends is put in here, written into {@link Cable.scratch} first. */
  readonly toWire: Lane;
}

interface Plugged {
  readonly station: Station;
  readonly macBytes: Uint8Array;
  readonly lane: Lane;
}

/** Timers of this process are late by this much at most. */
const LONGEST_WAIT_MS = 4;
const BOOTP_CLIENT = 68;
const CHADDR = 28;

/** Many stations behind one packet socket, each with a MAC of its own and faults of its own. */
export class Cable {
  /** Where a frame is written before it is put into a lane. */
  readonly scratch = Buffer.alloc(2048);
  /** Frames in and out, faults not counted. */
  received = 0;
  sent = 0;
  /** The longest time in which nothing was received because this process did not get to it. */
  longestPauseMs = 0;
  readonly #socket: PacketSocket;
  readonly #seed: number;
  readonly #impairment: Impairment;
  readonly #late = new LateFrames();
  readonly #reader = new FrameReader();
  /** By the last three bytes of the MAC, which no two stations have in common. */
  readonly #byMac = new Map<number, Plugged>();
  readonly #byAddress = new Map<number, Plugged>();

  constructor(socket: PacketSocket, seed: number, impairment: Impairment) {
    this.#socket = socket;
    this.#seed = seed;
    this.#impairment = impairment;
  }

  plugIn(station: Station): Plug {
    const macBytes = macToBytes(station.mac);
    const reader = this.#reader;
    const toStation = this.#lane(station, 'in', (frame, length) => {
      const kind = reader.read(frame, length); // anew: it may have been late
      if (kind !== 'other') station.hear(frame, kind, reader);
    });
    const toWire = this.#lane(station, 'out', (frame, length) => {
      frame.copy(this.#socket.slot, 0, 0, length);
      this.#socket.commit(length);
      this.sent += 1;
    });
    this.#byMac.set(low24(macBytes, 3), { station, macBytes, lane: toStation });
    return { toStation, toWire };
  }

  /** The station answers ARP for `address` (a number) from now on, and no longer for the one it had. */
  readdress(station: Station, old: number | undefined, address: number): void {
    const plugged = this.#byMac.get(low24(macToBytes(station.mac), 3));
    if (old !== undefined && this.#byAddress.get(old) === plugged) this.#byAddress.delete(old);
    if (plugged) this.#byAddress.set(address, plugged);
  }

  /** Carries frames until `isOver`. Between two batches, promises and timers have their turn. */
  async run(isOver: () => boolean): Promise<void> {
    const take = (frame: Buffer, length: number) => this.#take(frame, length);
    let heardAt = performance.now();
    while (!isOver()) {
      this.#socket.flush();
      const wait = Math.min(LONGEST_WAIT_MS, this.#late.dueIn(performance.now()));
      this.#socket.wait(Math.ceil(wait));
      this.received += this.#socket.receive(take);
      const now = performance.now();
      this.longestPauseMs = Math.max(this.longestPauseMs, now - heardAt);
      heardAt = now;
      this.#late.deliver(now);
      this.#socket.flush();
      await new Promise(setImmediate);
    }
  }

  #take(frame: Buffer, length: number): void {
    const kind = this.#reader.read(frame, length);
    if (kind === 'other') return;
    const isBroadcast = ((frame[0] as number) & 1) === 1;
    const plugged = isBroadcast ? this.#concerned(frame, kind) : this.#stationOf(frame, 0);
    plugged?.lane.put(frame, length);
  }

  /** Whom a broadcast is about: everyone hears it, and all others pass it over. */
  #concerned(frame: Buffer, kind: 'udp' | 'arp'): Plugged | undefined {
    const { destination, destinationPort, payloadStart, payloadLength } = this.#reader;
    if (kind === 'arp') return this.#byAddress.get(destination);
    if (destinationPort !== BOOTP_CLIENT || payloadLength < CHADDR + 6) return undefined;
    return this.#stationOf(frame, payloadStart + CHADDR);
  }

  #stationOf(frame: Buffer, at: number): Plugged | undefined {
    const plugged = this.#byMac.get(low24(frame, at + 3));
    if (!plugged) return undefined;
    const { macBytes } = plugged;
    const isIts = frame[at] === macBytes[0] && frame[at + 1] === macBytes[1] && frame[at + 2] === macBytes[2];
    return isIts ? plugged : undefined;
  }

  #lane(station: Station, direction: 'in' | 'out', deliver: (frame: Buffer, length: number) => void): Lane {
    const faults = new FaultSource(this.#seed, station.mac, direction, this.#impairment);
    return new Lane(faults, this.#late, deliver);
  }
}

function low24(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
}
