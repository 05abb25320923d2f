import { type BootView, rootExportPath } from '../model/boot-view.ts';
import type { StoredGeneration } from '../model/generation.ts';
import { formatSubnet } from '../net/subnet.ts';
import type { Export } from './export.ts';
import { stableUuid } from './fingerprint.ts';

/** S1-6, word for word. */
const WWW_OPTIONS = ['rw', 'sync', 'nohide', 'no_root_squash', 'subtree_check'];

/** A squashfs has no UUID for nfsd to find, hence `fsid=` (exports(5)); a sealed root needs no subtree check. */
const rootOptions = (generationId: string): string[] => [
  'ro',
  'sync',
  'no_root_squash',
  'no_subtree_check',
  `fsid=${stableUuid(generationId)}`,
];

/** Where the shared web content lies (S1-5). */
export const wwwPath = (exportsFolder: string): string => `${exportsFolder}/www`;

/**
 * What is to be exported: the root of every published generation, of those in `inUse` (a Pi that runs keeps its root
 * when its image is published anew), and `<exports>/www`, each to the subnets of all networks. In path order.
 */
export function desiredExports(view: BootView, inUse: readonly StoredGeneration[] = []): Export[] {
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
  return [...roots, www].sort((a, b) => (a.path < b.path ? -1 : 1));
}
