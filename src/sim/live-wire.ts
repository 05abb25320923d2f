import type { Socket } from 'node:dgram';
import { openUdp } from '../host/udp.ts';
import type { Run } from '../model/command.ts';
import { type Ipv4, LIMITED_BROADCAST } from '../net/ipv4.ts';
import { obtainLease } from './dhcp-client.ts';
import type { DhcpPersonality } from './dhcp-personality.ts';
import { INTERFACE, isOnLink, listenWithoutAddress, useLease } from './ethernet.ts';
import type { FirmwareEvent } from './firmware-event.ts';
import { Inbox } from './inbox.ts';
import { type Fetched, fetchFile, type TftpDialect } from './tftp-client.ts';
import { FirmwareFailure, type Lease, type Wire } from './wire.ts';

export interface LiveWireOptions {
  readonly run: Run;
  readonly report: (event: FirmwareEvent) => void;
  readonly timeScale: number;
}

/** Real sockets on `eth0` of the namespace this process is in. */
export class LiveWire implements Wire {
  readonly #options: LiveWireOptions;
  /** Requests made so far by dialect: each takes the next source port. */
  readonly #requests = new Map<string, number>();
  #address: Ipv4 | undefined;

  constructor(options: LiveWireOptions) {
    this.#options = options;
  }

  report(event: FirmwareEvent): void {
    this.#options.report(event);
  }

  async lease(personality: DhcpPersonality): Promise<Lease> {
    const { run, timeScale } = this.#options;
    await listenWithoutAddress(run);
    const isPi3 = personality.stage !== 'EEPROM';
    const socket = await openUdp({ interface: INTERFACE, port: 68, checksum: !isPi3 });
    if (isPi3) socket.setTTL(128);
    const lease = await obtainLease(personality, {
      broadcast: (bytes) => send(socket, bytes, 67, LIMITED_BROADCAST),
      inbox: new Inbox(socket),
      report: (event) => this.report(event),
      timeScale,
    }).finally(() => socket.close());

    const isMute = personality.stage === '3b ROM';
    await useLease(run, lease, isMute);
    this.#address = lease.address;
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
    const nth = this.#requests.get(dialect.stage) ?? 0;
    this.#requests.set(dialect.stage, nth + 1);
    const socket = await openUdp({
      interface: INTERFACE,
      port: dialect.firstPort + (nth % 1_000),
      checksum: dialect.sendsChecksum,
      ...(this.#address ? { address: this.#address } : {}),
    });
    socket.setTTL(dialect.ttl);
    const startedAt = performance.now();
    const fetched = await fetchFile(path, dialect, purpose, {
      send: (bytes, port) => send(socket, bytes, port, server),
      inbox: new Inbox(socket),
      server,
      timeScale: this.#options.timeScale,
    }).finally(() => socket.close());
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

/** A datagram that cannot leave (no route, no neighbour) is lost, as on any wire. */
function send(socket: Socket, bytes: Uint8Array, port: number, address: Ipv4): void {
  socket.send(bytes, port, address, () => {});
}
