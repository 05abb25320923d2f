import { readFile } from 'node:fs/promises';
import type { Ipv4 } from '../net/ipv4.ts';
import { connectionsTo } from './tcp-table.ts';

const NFS_PORT = 2049;
const LOOK_MS = 1000;
/** No kernel is unpacked and has its network sooner: what stands then is of the boot before. */
const SOONEST_MS = 2000;

export interface MountWatchOptions<Key> {
  /** Who is waited for, and for how many milliseconds by now. */
  readonly awaited: () => ReadonlyMap<Key, number>;
  readonly addressOf: (key: Key) => Ipv4 | undefined;
  readonly onMounted: (key: Key) => void;
  readonly port?: number;
  readonly lookMs?: number;
}

/**
 * Tells who has connected to the NFS server since it is waited for: whoever serves, the kernel or Ganesha, the connections
 * are in the kernel's table. Costs nothing while nobody is waited for.
 */
export function watchMounts<Key>(options: MountWatchOptions<Key>): { stop(): void } {
  const { awaited, addressOf, onMounted, port = NFS_PORT, lookMs = LOOK_MS } = options;
  /** What stood when a wait began: it may be of a boot that ended without a word. */
  let earlier = new Map<Key, ReadonlySet<string>>();
  let isLooking = false;

  const look = async (): Promise<void> => {
    const keys = awaited();
    if (keys.size === 0 || isLooking) {
      if (keys.size === 0) earlier.clear();
      return;
    }
    isLooking = true;
    try {
      const found = await connectionsByAddress(port);
      const next = new Map<Key, ReadonlySet<string>>();
      for (const [key, since] of keys) {
        const address = addressOf(key);
        const now = (address && found.get(address)) ?? new Set();
        // Who waits for longer already was waited for by an earlier run of the service: then nobody looked.
        const before = earlier.get(key) ?? (since < SOONEST_MS ? now : new Set());
        if ([...now].some((id) => !before.has(id))) onMounted(key);
        else next.set(key, before);
      }
      earlier = next;
    } finally {
      isLooking = false;
    }
  };

  const timer = setInterval(() => void look().catch(() => {}), lookMs).unref();
  return { stop: () => clearInterval(timer) };
}

async function connectionsByAddress(port: number): Promise<ReadonlyMap<Ipv4, ReadonlySet<string>>> {
  // Where there is no IPv6, there is no such table.
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readFile(file, 'utf8').catch(() => '')),
  );
  const found = new Map<Ipv4, Set<string>>();
  for (const { address, id } of tables.flatMap((table) => connectionsTo(port, table))) {
    const ids = found.get(address);
    if (ids) ids.add(id);
    else found.set(address, new Set([id]));
  }
  return found;
}
