import { getSystemErrorMap } from 'node:util';
import koffi from 'koffi';
import { Refusal } from '../model/command.ts';
import { type Mac, macFromBytes, macToBytes } from '../net/mac.ts';
import { libc } from './libc.ts';

// Linux's numbers, the same on amd64 and arm64 (linux/if_packet.h, linux/if_ether.h).
const AF_PACKET = 17;
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0o2000000 | 0o4000;
/** Frames with a length where others have a type: of them there are few. */
const ETH_P_802_2 = 0x0004;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_MULTICAST = 0;
/** A switch sends a BPDU every two seconds. */
const LOOK_MS = 2000;
const MOST_FRAMES_PER_LOOK = 64;

/** Where bridges talk to each other: IEEE 802.1D, and Cisco's one tree per VLAN. */
const BRIDGE_GROUPS = ['01:80:c2:00:00:00', '01:00:0c:cc:cc:cd'] as const;

/**
 * Listens for the bridge protocol data units (BPDUs) of spanning tree on one interface. Needs CAP_NET_RAW.
 * @param onBpdu is told the switch's address, at most every two seconds.
 * @returns what ends it.
 * @throws Refusal where it is not allowed.
 */
export function listenForBpdus(name: string, onBpdu: (from: Mac) => void): () => void {
  const { socket, setsockopt, bind, recv, close } = libc;
  const index = libc.if_nametoindex(name);

  const descriptor = socket(AF_PACKET, SOCK_RAW_CLOEXEC_NONBLOCK, 0);
  if (descriptor < 0) throw refuse(name, koffi.errno());
  const address = Buffer.alloc(20); // struct sockaddr_ll
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(ETH_P_802_2, 2);
  address.writeInt32LE(index, 4);
  const hasFailed =
    bind(descriptor, address, address.length) < 0 ||
    BRIDGE_GROUPS.some((group) => {
      const membership = Buffer.alloc(16); // struct packet_mreq
      membership.writeInt32LE(index, 0);
      membership.writeUInt16LE(PACKET_MR_MULTICAST, 4);
      membership.writeUInt16LE(6, 6);
      membership.set(macToBytes(group as Mac), 8);
      return setsockopt(descriptor, SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership, membership.length) < 0;
    });
  if (hasFailed) {
    const errno = koffi.errno();
    close(descriptor);
    throw refuse(name, errno);
  }

  const frame = Buffer.alloc(64);
  const look = setInterval(() => {
    let from: Mac | undefined;
    for (let count = 0; count < MOST_FRAMES_PER_LOOK; count++) {
      const length = recv(descriptor, frame, frame.length, 0);
      if (length <= 0) break;
      const isBpdu = length >= 17 && (BRIDGE_GROUPS as readonly string[]).includes(macFromBytes(frame));
      if (isBpdu) from = macFromBytes(frame, 6);
    }
    if (from) onBpdu(from);
  }, LOOK_MS);
  return () => {
    clearInterval(look);
    close(descriptor);
  };
}

function refuse(name: string, errno: number): Refusal {
  const [, text] = getSystemErrorMap().get(-errno) ?? ['', `error ${errno}`];
  return new Refusal(
    `Spanning tree cannot be watched on "${name}": ${text}`,
    'Run the service as root or give it CAP_NET_RAW and the address family AF_PACKET.',
  );
}
