import {
  ARP_REPLY,
  ARP_REQUEST,
  BROADCAST_MAC,
  type FrameReader,
  UdpWriter,
  writeArp,
} from '../net/frame.ts';
import { type Ipv4, ipv4FromNumber, ipv4ToNumber, LIMITED_BROADCAST, UNSPECIFIED } from '../net/ipv4.ts';
import { type Mac, macFromBytes } from '../net/mac.ts';
import type { Cable, Plug, Station } from './cable.ts';
import type { DhcpPersonality } from './dhcp-personality.ts';
import { type DhcpPort, isOnLink, type Link, type TftpPort } from './firmware-wire.ts';
import { Inbox } from './inbox.ts';
import type { TftpDialect } from './tftp-client.ts';
import type { Lease } from './wire.ts';

const ARP_RESEND_MS = 1_000;
const BOOTP_CLIENT = 68;

type Hear = Parameters<TftpPort['listen']>[0];

/** The interface of one of many virtual Pis on a {@link Cable}: no namespace, no address of the kernel's, only frames. */
export class CableLink implements Link, Station {
  readonly mac: Mac;
  readonly plug: Plug;
  readonly #cable: Cable;
  /** Only offers from this server are heard; `undefined`: from any. */
  readonly #server: number | undefined;
  #dhcp: Inbox | undefined;
  #lease: Lease | undefined;
  #address: number | undefined;
  #isMute = false;
  readonly #ports = new Map<number, { readonly server: number; hear: Hear }>();
  readonly #neighbours = new Map<number, Mac>();
  /** What waits for a neighbour's MAC address. */
  readonly #unresolved = new Map<number, Set<() => void>>();

  constructor(cable: Cable, mac: Mac, server?: Ipv4) {
    this.mac = mac;
    this.#cable = cable;
    this.#server = server === undefined ? undefined : ipv4ToNumber(server);
    this.plug = cable.plugIn(this);
  }

  async openDhcp(personality: DhcpPersonality): Promise<DhcpPort> {
    const isPi3 = personality.stage !== 'EEPROM';
    const writer = new UdpWriter({
      sourceMac: this.mac,
      destinationMac: BROADCAST_MAC,
      source: UNSPECIFIED,
      destination: LIMITED_BROADCAST,
      sourcePort: BOOTP_CLIENT,
      destinationPort: 67,
      ttl: isPi3 ? 128 : 64,
      checksum: !isPi3,
    });
    const inbox = new Inbox();
    this.#dhcp = inbox;
    this.#isMute = true; // it has no address yet, or has given it up
    return {
      broadcast: (bytes) => this.#send(writer.write(this.#cable.scratch, bytes)),
      inbox,
      close: () => {
        this.#dhcp = undefined;
      },
    };
  }

  async configure(lease: Lease, isMute: boolean): Promise<void> {
    const address = ipv4ToNumber(lease.address);
    this.#cable.readdress(this, this.#address, address);
    this.#lease = lease;
    this.#address = address;
    this.#isMute = isMute;
    this.#neighbours.clear();
  }

  async openTftp(server: Ipv4, port: number, dialect: TftpDialect): Promise<TftpPort> {
    const lease = this.#lease;
    if (!lease) throw new Error('a virtual Pi asked for a file before it had an address');
    const serverNumber = ipv4ToNumber(server);
    const nextHop = isOnLink(lease, server) ? server : (lease.router ?? server);
    let writer: UdpWriter | undefined;
    let writerPort = 0;
    const transmit = (mac: Mac, bytes: Uint8Array, destinationPort: number) => {
      if (!writer || writerPort !== destinationPort) {
        const { sendsChecksum: checksum, ttl } = dialect;
        const path = { sourceMac: this.mac, destinationMac: mac, source: lease.address, destination: server };
        writer = new UdpWriter({ ...path, sourcePort: port, destinationPort, ttl, checksum });
        writerPort = destinationPort;
      }
      this.#send(writer.write(this.#cable.scratch, bytes));
    };
    const own = { server: serverNumber, hear: (() => {}) as Hear };
    this.#ports.set(port, own);
    let stopAsking: (() => void) | undefined;
    return {
      send: (bytes, to) => {
        const mac = this.#neighbours.get(ipv4ToNumber(nextHop));
        if (mac !== undefined) return transmit(mac, bytes, to);
        const copy = Buffer.from(bytes);
        stopAsking?.();
        stopAsking = this.#ask(nextHop, (found) => transmit(found, copy, to));
      },
      listen: (hear) => {
        own.hear = hear;
      },
      close: () => {
        stopAsking?.();
        if (this.#ports.get(port) === own) this.#ports.delete(port);
      },
    };
  }

  hear(frame: Buffer, kind: 'udp' | 'arp', reader: FrameReader): void {
    if (kind === 'arp') return void this.#hearArp(frame, reader);
    const { source, destination, destinationPort, payloadStart, payloadLength } = reader;
    if (destinationPort === BOOTP_CLIENT) {
      if (this.#server !== undefined && source !== this.#server) return;
      const bytes = Buffer.from(frame.subarray(payloadStart, payloadStart + payloadLength));
      this.#dhcp?.put({ bytes, source: ipv4FromNumber(source), port: reader.sourcePort });
    } else if (destination === this.#address) {
      const port = this.#ports.get(destinationPort);
      if (port?.server === source) port.hear(frame, payloadStart, payloadLength, reader.sourcePort);
    }
  }

  #hearArp(frame: Buffer, { arpOperation, source, destination }: FrameReader): void {
    if (destination !== this.#address) return;
    const mac = macFromBytes(frame.subarray(22));
    if (arpOperation === ARP_REPLY) {
      this.#neighbours.set(source, mac);
      for (const found of this.#unresolved.get(source) ?? []) found();
    } else if (arpOperation === ARP_REQUEST && !this.#isMute && this.#lease) {
      const sender = { senderMac: this.mac, sender: this.#lease.address };
      const target = { destinationMac: mac, target: ipv4FromNumber(source) };
      this.#send(writeArp(this.#cable.scratch, { operation: ARP_REPLY, ...sender, ...target }));
    }
  }

  /** Asks for a neighbour's MAC address, again every second until it is known or the returned function is called. */
  #ask(neighbour: Ipv4, found: (mac: Mac) => void): () => void {
    const number = ipv4ToNumber(neighbour);
    const request = () => {
      if (!this.#lease) return;
      const sender = { senderMac: this.mac, sender: this.#lease.address };
      const target = { destinationMac: BROADCAST_MAC, target: neighbour };
      this.#send(writeArp(this.#cable.scratch, { operation: ARP_REQUEST, ...sender, ...target }));
    };
    const waiting = this.#unresolved.get(number) ?? new Set();
    this.#unresolved.set(number, waiting);
    const timer = setInterval(request, ARP_RESEND_MS);
    const stop = () => {
      clearInterval(timer);
      waiting.delete(resolved);
    };
    const resolved = () => {
      stop();
      found(this.#neighbours.get(number) as Mac);
    };
    waiting.add(resolved);
    request();
    return stop;
  }

  #send(length: number): void {
    this.plug.toWire.put(this.#cable.scratch, length);
  }
}
