import { writeFile } from 'node:fs/promises';
import type { Run } from '../model/command.ts';
import { isOnLink } from './firmware-wire.ts';
import type { Lease } from './wire.ts';

/** The Pi's network interface inside its namespace. */
export const INTERFACE = 'eth0';

/** All unicast addresses, and neither multicast (224/3) nor the limited broadcast. */
const ANY_UNICAST = ['0.0.0.0/1', '128.0.0.0/2', '192.0.0.0/3'];

/**
 * The interface before it has an address. A server may send its OFFER to the address it offers, and firmware takes
 * it by the MAC alone. Linux would drop it, so every unicast address counts as local for that long
 * (`accept_local`, because then the server's own address seems local too), and no ARP or ping is answered for it:
 * servers probe an address before they offer it.
 */
export async function listenWithoutAddress(run: Run): Promise<void> {
  await run('ip', ['address', 'flush', 'dev', INTERFACE]);
  await writeSettings({ accept_local: 1, arp_ignore: 8, rp_filter: 0 });
  for (const subnet of ANY_UNICAST) await run('ip', ['route', 'replace', 'local', subnet, 'dev', 'lo']);
}

/** Gives the interface its lease. `isMute`: the 3B's ROM answers no ARP while it loads (boot-net.adoc). */
export async function useLease(run: Run, lease: Lease, isMute: boolean): Promise<void> {
  for (const subnet of ANY_UNICAST) await run('ip', ['route', 'delete', 'local', subnet, 'dev', 'lo']);
  await writeSettings({ accept_local: 0, arp_ignore: isMute ? 8 : 1 });
  await run('ip', ['address', 'add', `${lease.address}/${lease.prefix}`, 'dev', INTERFACE]);
  const { router } = lease;
  if (router && !isMute && isOnLink(lease, router))
    await run('ip', ['route', 'replace', 'default', 'via', router]);
}

/** `/proc/sys/net` shows the namespace of whoever looks. */
async function writeSettings(settings: Readonly<Record<string, number>>): Promise<void> {
  for (const [name, value] of Object.entries(settings))
    await writeFile(`/proc/sys/net/ipv4/conf/${INTERFACE}/${name}`, `${value}\n`);
}
