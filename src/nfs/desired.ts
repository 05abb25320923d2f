import { type BootView, rootExportPath } from '../model/boot-view.ts';
import type { StoredGeneration } from '../model/generation.ts';
import { privateExportPath } from '../model/root-mode.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Serial } from '../net/serial.ts';
import { formatSubnet } from '../net/subnet.ts';
import type { Area, Export } from './export.ts';
import { stableUuid } from './fingerprint.ts';

/** S1-6, word for word. */
const WWW_OPTIONS = ['rw', 'sync', 'nohide', 'no_root_squash', 'subtree_check'];

/**
 * A squashfs has no UUID for nfsd to find, hence `fsid=` (exports(5)); a sealed root needs no subtree check. With `mp`, "the
 * export point must also be a mount point" (exports(5)): after a restart of the machine nfsd runs before the root is mounted,
 * and would call the handles of running nodes stale, not finding them in the empty folder. So they wait (nfs-utils,
 * support/export/cache.c, nfsd_fh).
 */
const rootOptions = (generationId: string): string[] => [
  'ro',
  'sync',
  'no_root_squash',
  'no_subtree_check',
  'mp',
  `fsid=${stableUuid(generationId)}`,
];

/**
 * Of a node's own folder. With a subtree check, the kernel's nfsd refuses a handle that one node made up for a file of
 * another's folder, which lies on the same file system; nothing in there is renamed while a node has it open. Both ends
 * keep what a write promised: it is on the disk when the node's COMMIT is answered.
 */
const areaOptions = (serial: Serial): string[] => [
  'rw',
  'sync',
  'no_root_squash',
  'subtree_check',
  `fsid=${stableUuid(`private/${serial}`)}`,
];

/** What one node writes to; nobody may mount it while nothing tells where the node is. */
export interface PrivateArea extends Area {
  readonly serial: Serial;
  readonly address: Ipv4 | undefined;
}

/** Where the shared web content lies (S1-5). */
export const wwwPath = (exportsFolder: string): string => `${exportsFolder}/www`;

/**
 * What is to be exported: the root of every published generation, of those in `inUse` (a Pi that runs keeps its root
 * when its image is published anew), and `<exports>/www`, each to the subnets of all networks; and each node's own folder
 * to that node alone. In path order.
 */
export function desiredExports(
  view: BootView,
  inUse: readonly StoredGeneration[] = [],
  areas: readonly PrivateArea[] = [],
): Export[] {
  const clients = [
    ...new Set(
      [...view.networks.values()].flatMap((network) =>
        [network, ...(network.relayed ?? [])].map(({ subnet }) => formatSubnet(subnet)),
      ),
    ),
  ].sort();
  const generations = new Map([...view.published.values(), ...inUse].map((each) => [each.id, each]));
  const roots = [...generations.values()].map(
    ({ id, folder }): Export => ({
      path: rootExportPath(view.exportsFolder, id),
      clients,
      options: rootOptions(id),
      squashfs: `${folder}/root.squashfs`,
    }),
  );
  const www: Export = { path: wwwPath(view.exportsFolder), clients, options: WWW_OPTIONS };
  const own = areas.map(
    ({ serial, address, ...area }): Export => ({
      path: privateExportPath(view.exportsFolder, serial),
      clients: address === undefined ? [] : [`${address}/32`],
      options: areaOptions(serial),
      area,
    }),
  );
  return [...roots, www, ...own].sort((a, b) => (a.path < b.path ? -1 : 1));
}
