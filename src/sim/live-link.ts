import type { Socket } from 'node:dgram';
import { openUdp } from '../host/udp.ts';
import type { Run } from '../model/command.ts';
import { type Ipv4, LIMITED_BROADCAST } from '../net/ipv4.ts';
import type { DhcpPersonality } from './dhcp-personality.ts';
import { INTERFACE, listenWithoutAddress, useLease } from './ethernet.ts';
import type { DhcpPort, Link, TftpPort } from './firmware-wire.ts';
import { Inbox } from './inbox.ts';
import type { TftpDialect } from './tftp-client.ts';
import type { Lease } from './wire.ts';

/** Real sockets on `eth0` of the namespace this process is in. */
export class LiveLink implements Link {
  readonly #run: Run;
  #address: Ipv4 | undefined;

  constructor(run: Run) {
    this.#run = run;
  }

  async openDhcp(personality: DhcpPersonality): Promise<DhcpPort> {
    await listenWithoutAddress(this.#run);
    const isPi3 = personality.stage !== 'EEPROM';
    const socket = await openUdp({ interface: INTERFACE, port: 68, checksum: !isPi3 });
    if (isPi3) socket.setTTL(128);
    return {
      broadcast: (bytes) => send(socket, bytes, 67, LIMITED_BROADCAST),
      inbox: Inbox.of(socket),
      close: () => socket.close(),
    };
  }

  async configure(lease: Lease, isMute: boolean): Promise<void> {
    await useLease(this.#run, lease, isMute);
    this.#address = lease.address;
  }

  async openTftp(server: Ipv4, port: number, dialect: TftpDialect): Promise<TftpPort> {
    const socket = await openUdp({
      interface: INTERFACE,
      port,
      checksum: dialect.sendsChecksum,
      ...(this.#address ? { address: this.#address } : {}),
    });
    socket.setTTL(dialect.ttl);
    // Port or host unreachable: firmware has no notion of it, silence is what it sees.
    socket.on('error', () => {});
    return {
      // dgram sends after it has returned
      send: (bytes, to) => send(socket, Buffer.from(bytes), to, server),
      listen: (hear) =>
        socket.on('message', (bytes, from) => {
          if (from.address === server) hear(bytes, 0, bytes.length, from.port);
        }),
      close: () => socket.close(),
    };
  }
}

/** A datagram that cannot leave (no route, no neighbour) is lost, as on any wire. */
function send(socket: Socket, bytes: Uint8Array, port: number, address: Ipv4): void {
  socket.send(bytes, port, address, () => {});
}
