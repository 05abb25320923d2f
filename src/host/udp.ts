import dgram from 'node:dgram';
import { getSystemErrorMap } from 'node:util';
import koffi from 'koffi';
import { Refusal } from '../model/command.ts';
import { type Ipv4, ipv4ToBytes, UNSPECIFIED } from '../net/ipv4.ts';
import { BatchedSocket } from './batched-socket.ts';
import { libc } from './libc.ts';

// Linux's numbers, the same on amd64 and arm64 (asm-generic/socket.h).
const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC_NONBLOCK = 2 | 0o2000000 | 0o4000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_BROADCAST = 6;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_NO_CHECK = 11;
const SO_BINDTODEVICE = 25;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;

/**
 * Room for a burst of a whole rack: some 4,000 DHCP messages that come while the disk is busy. systemd/netboot.sysctl
 * lets a service without CAP_NET_ADMIN have it.
 */
export const BURST_BYTES = 4 * 2 ** 20;

export interface UdpBinding {
  /** Only datagrams that arrive on this interface, and every datagram leaves by it. */
  readonly interface: string;
  readonly port: number;
  /** Default: any address, which is what hears broadcasts. */
  readonly address?: Ipv4;
  /** `false` sends with UDP checksum 0, as a Pi 3 does; default `true`. */
  readonly checksum?: boolean;
  /** Of the receive and of the send buffer; without CAP_NET_ADMIN at most net.core.{rmem,wmem}_max. */
  readonly bufferBytes?: number;
  /** Beside others on the port who allow it as well (SO_REUSEADDR): each of them gets every broadcast. */
  readonly isShared?: boolean;
}

/**
 * A UDP socket tied to one interface, able to broadcast. Node's dgram tells no arrival interface and cannot set
 * SO_BINDTODEVICE, so the socket is made by system calls and handed to dgram: one socket per interface says
 * where a broadcast came from, and 255.255.255.255 leaves by that interface with its address as the source.
 * Without SO_REUSEADDR: UDP has no TIME_WAIT to get around, and with it a second server on the same interface would
 * start without a word and take some of the datagrams. Sockets of different interfaces are never in each other's way.
 * SO_BINDTODEVICE needs no privilege on an unbound socket since Linux 5.7; a port below 1024 needs
 * CAP_NET_BIND_SERVICE.
 * @throws Refusal naming the interface, the port and the remedy.
 */
export async function openUdp(binding: UdpBinding): Promise<dgram.Socket> {
  return await adoptAlone(openUdpDescriptor(binding));
}

/** The same for many small datagrams. @throws Refusal */
export async function openBatchedUdp(binding: UdpBinding): Promise<BatchedSocket> {
  const fd = openUdpDescriptor(binding);
  return new BatchedSocket(await adoptAlone(fd), fd);
}

/** libuv sets SO_REUSEADDR on every descriptor that it takes over. */
async function adoptAlone(fd: number): Promise<dgram.Socket> {
  const opened = await adoptDescriptor(fd);
  libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, int(0), 4);
  return opened;
}

/** A descriptor as a socket of Node, which closes it; from then on it shares its port with others that are willing to. */
export async function adoptDescriptor(fd: number): Promise<dgram.Socket> {
  const opened = dgram.createSocket('udp4');
  await new Promise<void>((resolve, reject) => {
    opened.once('error', reject);
    opened.bind({ fd }, () => {
      opened.off('error', reject);
      resolve();
    });
  });
  return opened;
}

/**
 * The same as a bare descriptor, for those that read and write it by system calls of their own; see
 * {@link closeDescriptor}. @throws Refusal
 */
export function openUdpDescriptor(binding: UdpBinding): number {
  const { socket, setsockopt, bind, close } = libc;
  const fd = socket(AF_INET, SOCK_DGRAM_CLOEXEC_NONBLOCK, 0);
  if (fd < 0) throw refuse(binding, koffi.errno());
  const on = Uint8Array.of(1, 0, 0, 0);
  const device = Buffer.from(`${binding.interface}\0`, 'latin1');
  const address = Buffer.alloc(16); // struct sockaddr_in
  address.writeUInt16LE(AF_INET, 0);
  address.writeUInt16BE(binding.port, 2);
  address.set(ipv4ToBytes(binding.address ?? UNSPECIFIED), 4);
  const failed =
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, on, 4) < 0 ||
    (binding.isShared === true && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, on, 4) < 0) ||
    (binding.checksum === false && setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, on, 4) < 0) ||
    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, device.length) < 0 ||
    bind(fd, address, address.length) < 0;
  if (failed) {
    const errno = koffi.errno();
    close(fd);
    throw refuse(binding, errno);
  }
  for (const [forced, name] of [
    [SO_RCVBUFFORCE, SO_RCVBUF],
    [SO_SNDBUFFORCE, SO_SNDBUF],
  ] as const) {
    if (binding.bufferBytes === undefined) continue;
    const bytes = int(binding.bufferBytes);
    if (setsockopt(fd, SOL_SOCKET, forced, bytes, 4) < 0) setsockopt(fd, SOL_SOCKET, name, bytes, 4);
  }
  return fd;
}

export function closeDescriptor(fd: number): void {
  libc.close(fd);
}

const int = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);

function refuse(binding: UdpBinding, errno: number): Refusal {
  const [code, text] = getSystemErrorMap().get(-errno) ?? ['', `error ${errno}`];
  const remedy =
    {
      ENODEV: 'List the interfaces with "ip link" and name one of them in the configuration.',
      EADDRINUSE: `Another program holds the port: find it with "ss -ulpn sport = :${binding.port}" and stop it.`,
      EACCES: 'Run the service as root or give it CAP_NET_BIND_SERVICE.',
      EPERM: 'Run the service as root or give it CAP_NET_BIND_SERVICE.',
    }[code] ?? 'See "ip address" for the state of the interface.';
  return new Refusal(
    `UDP port ${binding.port} on interface "${binding.interface}" cannot be opened: ${text}`,
    remedy,
  );
}
