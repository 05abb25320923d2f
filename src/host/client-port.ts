import type dgram from 'node:dgram';
import koffi from 'koffi';
import { type Ipv4, ipv4ToNumber, LIMITED_BROADCAST } from '../net/ipv4.ts';
import { libc } from './libc.ts';
import { adoptDescriptor, openUdpDescriptor } from './udp.ts';

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const CLIENT_PORT = 68;

// Classic BPF (linux/filter.h). Offsets from SKF_NET_OFF on reach into the IP header.
const LOAD_WORD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
const SOURCE_OF_IP_HEADER = -0x10_0000 + 12;
const INSTRUCTION_BYTES = 8;

/**
 * What DHCP servers on this interface broadcast to their clients, our own server excepted. Bound to the broadcast
 * address and shared, it is in nobody's way who is a DHCP client of this machine, nor is that in ours.
 * @param own our address there, which may change.
 * @throws Refusal when the port is taken by a program that shares it with nobody, or not allowed.
 */
export async function openClientPort(name: string, own: () => Ipv4 | undefined): Promise<dgram.Socket> {
  const fd = openUdpDescriptor({
    interface: name,
    port: CLIENT_PORT,
    address: LIMITED_BROADCAST,
    isShared: true,
  });
  let dropped: Ipv4 | undefined;
  const dropOwn = () => {
    dropped = own();
    if (dropped !== undefined) attachFilter(fd, ipv4ToNumber(dropped));
  };
  dropOwn();
  const socket = await adoptDescriptor(fd);
  // With another address, the first of our own replies comes through, and is the last.
  return socket.on('message', (_, { address }) => {
    if (address !== dropped && address === own()) dropOwn();
  });
}

/** Drops in the kernel what comes from our own address: of a rack's worth of replies each comes back to us. */
function attachFilter(fd: number, own: number): void {
  const instructions: ReadonlyArray<readonly [code: number, yes: number, no: number, value: number]> = [
    [LOAD_WORD, 0, 0, SOURCE_OF_IP_HEADER],
    [JUMP_IF_EQUAL, 0, 1, own],
    [RETURN, 0, 0, 0],
    [RETURN, 0, 0, 0xffff],
  ];
  const code = Buffer.alloc(instructions.length * INSTRUCTION_BYTES);
  for (const [index, [operation, yes, no, value]] of instructions.entries()) {
    const at = index * INSTRUCTION_BYTES;
    code.writeUInt16LE(operation, at);
    code.writeUInt8(yes, at + 2);
    code.writeUInt8(no, at + 3);
    code.writeUInt32LE(value >>> 0, at + 4);
  }
  const program = Buffer.alloc(16); // struct sock_fprog
  program.writeUInt16LE(instructions.length, 0);
  program.writeBigUInt64LE(koffi.address(code), 8);
  libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, program.length);
}
