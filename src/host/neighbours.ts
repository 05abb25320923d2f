import { readFile } from 'node:fs/promises';
import type { Ipv4 } from '../net/ipv4.ts';
import { type Mac, parseMac } from '../net/mac.ts';

/** The MAC behind an address by the kernel's neighbour table: it has just sent us a datagram, so it is there. */
export async function neighbourMac(address: Ipv4): Promise<Mac | undefined> {
  const table = await readFile('/proc/net/arp', 'utf8');
  const row = table.split('\n').find((line) => line.startsWith(`${address} `));
  const mac = parseMac(row?.split(/\s+/)[3] ?? '');
  return mac === '00:00:00:00:00:00' ? undefined : mac; // an entry not yet resolved
}
