import { readFile } from 'node:fs/promises';
import type { Run } from '../model/command.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { type Mac, parseMac } from '../net/mac.ts';

/** The MAC behind an address by the kernel's neighbour table: it has just sent us a datagram, so it is there. */
export async function neighbourMac(address: Ipv4): Promise<Mac | undefined> {
  return (await neighbours()).get(address);
}

/** Everybody whom the kernel has found by ARP, on any interface; a question that nobody answered yet is not in it. */
export async function neighbours(): Promise<ReadonlyMap<Ipv4, Mac>> {
  const [, ...rows] = (await readFile('/proc/net/arp', 'utf8')).split('\n');
  const found = new Map<Ipv4, Mac>();
  for (const row of rows) {
    const [address, , , text] = row.split(/\s+/);
    const mac = parseMac(text ?? '');
    if (address && mac && mac !== '00:00:00:00:00:00') found.set(address as Ipv4, mac);
  }
  return found;
}

/**
 * The MAC that answers for an address now. The kernel keeps what it once found for hours and believes it without asking
 * (STALE), so only what was confirmed in the last half minute counts (REACHABLE).
 */
export async function reachableNeighbour(run: Run, address: Ipv4, network: string): Promise<Mac | undefined> {
  if (!(await neighbours()).has(address)) return undefined; // costs no process
  const argv = ['-j', 'neigh', 'show', 'to', address, 'dev', network, 'nud', 'reachable'];
  const [entry] = JSON.parse((await run('ip', argv)) || '[]') as Array<{ lladdr?: string }>;
  return parseMac(entry?.lladdr ?? '');
}
