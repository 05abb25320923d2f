import type { Ipv4 } from '../net/ipv4.ts';
import { subnetContains, subnetOf } from '../net/subnet.ts';
import { obtainLease } from './dhcp-client.ts';
import type { DhcpPersonality } from './dhcp-personality.ts';
import type { FirmwareEvent } from './firmware-event.ts';
import type { Inbox } from './inbox.ts';
import { type BlockSink, CollectedBlocks, type Fetched, type TftpDialect, TftpFetch } from './tftp-client.ts';
import { FirmwareFailure, type Lease, type Wire } from './wire.ts';

/** Port 68 of an interface that has no address yet, to and from 255.255.255.255. */
export interface DhcpPort {
  broadcast(bytes: Uint8Array): void;
  readonly inbox: Inbox;
  close(): void;
}

/** One UDP port, between this Pi and its TFTP server. */
export interface TftpPort {
  /** `bytes` may be used again when it returns. */
  send(bytes: Uint8Array, port: number): void;
  /** Datagrams of the server's, and of nobody else's. */
  listen(hear: (bytes: Uint8Array, start: number, length: number, port: number) => void): void;
  close(): void;
}

/** A Pi's network interface: real sockets of a namespace of its own, or frames of a cable that many share. */
export interface Link {
  openDhcp(personality: DhcpPersonality): Promise<DhcpPort>;
  /** From now on the interface has the address. `isMute`: the 3B's ROM answers no ARP while it loads (boot-net.adoc). */
  configure(lease: Lease, isMute: boolean): Promise<void>;
  openTftp(server: Ipv4, port: number, dialect: TftpDialect): Promise<TftpPort>;
}

export interface FirmwareWireOptions {
  readonly report: (event: FirmwareEvent) => void;
  /** Factor for every wait of the firmware: 1 is a real Pi. */
  readonly timeScale: number;
  /** Where the bytes of a file go; default: a copy for each. */
  readonly sink?: (path: string, size: number | undefined) => BlockSink;
  /** Told of each transfer's repetitions when it is over. */
  readonly repeated?: (counts: Pick<TftpFetch, 'resends' | 'duplicates'>) => void;
}

/** What the firmware does with its interface, whichever that is. */
export class FirmwareWire implements Wire {
  readonly #link: Link;
  readonly #options: FirmwareWireOptions;
  /** Requests made so far by dialect: each takes the next source port. */
  readonly #requests = new Map<string, number>();

  constructor(link: Link, options: FirmwareWireOptions) {
    this.#link = link;
    this.#options = options;
  }

  report(event: FirmwareEvent): void {
    this.#options.report(event);
  }

  async lease(personality: DhcpPersonality): Promise<Lease> {
    const port = await this.#link.openDhcp(personality);
    const lease = await obtainLease(personality, {
      broadcast: (bytes) => port.broadcast(bytes),
      inbox: port.inbox,
      report: (event) => this.report(event),
      timeScale: this.#options.timeScale,
    }).finally(() => port.close());

    const isMute = personality.stage === '3b ROM';
    await this.#link.configure(lease, isMute);
    const { address, prefix, tftpServer } = lease;
    this.report({ kind: 'address', address, prefix, tftpServer, isAcknowledged: personality.sendsRequest });
    if (!isOnLink(lease, tftpServer) && (isMute || !lease.router))
      throw new FirmwareFailure(
        `the TFTP server ${tftpServer} is not in ${address}/${prefix} and ${
          isMute ? "the 3B's boot ROM uses no router" : 'no router was offered (option 3)'
        }`,
      );
    return lease;
  }

  async fetch(server: Ipv4, path: string, dialect: TftpDialect, purpose: 'read' | 'probe'): Promise<Fetched> {
    const { timeScale, sink = () => new CollectedBlocks(), repeated } = this.#options;
    const nth = this.#requests.get(dialect.stage) ?? 0;
    this.#requests.set(dialect.stage, nth + 1);
    const port = await this.#link.openTftp(server, dialect.firstPort + (nth % 1_000), dialect);
    const startedAt = performance.now();
    const fetched = await new Promise<Fetched>((done) => {
      const fetch = new TftpFetch({
        path,
        dialect,
        purpose,
        timeScale,
        send: (bytes, to) => port.send(bytes, to),
        sink: (size) => sink(path, size),
        done: (result) => {
          repeated?.(fetch);
          done(result);
        },
      });
      port.listen((bytes, start, length, from) => fetch.hear(bytes, start, length, from));
      fetch.start();
    }).finally(() => port.close());
    this.report({
      kind: 'file',
      stage: dialect.stage,
      path,
      outcome: fetched.kind,
      size: fetched.kind === 'read' ? fetched.bytes.length : fetched.kind === 'missing' ? 0 : fetched.size,
      ms: Math.round(performance.now() - startedAt),
      answer: fetched.answer,
    });
    return fetched;
  }
}

export function isOnLink(lease: Pick<Lease, 'address' | 'prefix'>, address: Ipv4): boolean {
  return subnetContains(subnetOf(lease.address, lease.prefix), address);
}
