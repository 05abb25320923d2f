import { parseConfig } from '../../src/config.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import type { Store } from '../../src/fleet/store.ts';
import type { StoredGeneration } from '../../src/model/generation.ts';
import { type Log, silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Exporter } from '../../src/nfs/applied.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const PRESENT = [{ interface: 'eth0', address: '10.0.0.1' as Ipv4, prefix: 16, mtu: 1500 }];

const NO_EXPORTER: Exporter = {
  kind: 'none',
  apply: async () => {},
  state: () => ({ exports: [] }),
  stop: async () => {},
};

export const sealed = (id: string, more: Partial<StoredGeneration> = {}): StoredGeneration => ({
  id,
  image: id.replace(/-[0-9a-f]{12}$/, ''),
  arch: 'arm64',
  sealedAt: '2026-01-01T00:00:00Z',
  recipeKey: 'a'.repeat(64),
  root: { size: 1, sha256: 'b'.repeat(64) },
  boot: { kernel: 'kernel8.img', initramfs: 'initramfs8', config: [], cmdline: [], files: {} },
  roles: { web: { target: 'web-cluster-node.target' } },
  packages: {},
  provides: ['root-modes', 'reports'],
  folder: `/generations/${id}`,
  ...more,
});

/** A fleet of its own on that store, with images `web` and `db`. */
export function openSmallFleet({
  store = new MemoryStore(),
  generations = [],
  config = '',
  log = silentLog,
  exporter = NO_EXPORTER,
}: {
  readonly store?: Store;
  readonly generations?: readonly StoredGeneration[];
  /** Sections beside the interface. */
  readonly config?: string;
  readonly log?: Log;
  readonly exporter?: Exporter;
} = {}): Promise<Fleet> {
  const parsed = parseConfig(
    `interfaces:\n  eth0: { dhcp: full, pool: 10.0.1.0-10.0.9.255 }\n${config}`,
    'netboot.yaml',
  );
  const ports = {
    store,
    exporter,
    readGenerations: async () => ({ generations: [...generations], problems: [] }),
    recipeNames: async () => ['db', 'web'],
    log,
  };
  return Fleet.open(ports, parsed, resolveNetworks(parsed.interfaces, PRESENT));
}
