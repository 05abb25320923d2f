import { type Ipv4, ipv4FromNumber } from '../net/ipv4.ts';

/** A TCP connection to a port of ours. */
export interface TcpConnection {
  readonly address: Ipv4;
  /** The other end's port and the kernel's number of our socket: the next connection from the same port is another one. */
  readonly id: string;
}

const ESTABLISHED = '01';
/** An IPv4 address in the table of IPv6, as a server has it that listens for both. */
const MAPPED = '0000000000000000FFFF0000';

/**
 * The connections to `port` that stand, of the text of /proc/net/tcp or /proc/net/tcp6 (Documentation/networking/proc_net_tcp).
 * Addresses are in it as the processor has them in a word: the bytes of all that a Pi or a PC writes are turned round.
 */
export function connectionsTo(port: number, table: string): TcpConnection[] {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table.split('\n').flatMap((line) => {
    if (!line.includes(local)) return [];
    const [, ours = '', theirs = '', state, , , , , , inode] = line.trim().split(/\s+/);
    const [address = '', far = ''] = theirs.split(':');
    if (!ours.endsWith(local) || state !== ESTABLISHED) return [];
    const word = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : address;
    if (!/^[0-9A-F]{8}$/.test(word)) return [];
    const bytes = Buffer.from(word, 'hex').readUInt32LE();
    return [{ address: ipv4FromNumber(bytes), id: `${far} ${inode}` }];
  });
}
