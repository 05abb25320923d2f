import { type BootView, indexByTail, type UnknownPolicy } from '../model/boot-view.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Network } from '../model/network.ts';
import type { Node } from '../model/node.ts';

export interface ViewSources {
  readonly revision: number;
  readonly networks: ReadonlyMap<string, Network>;
  readonly nodes: Iterable<Node>;
  readonly published: ReadonlyMap<string, StoredGeneration>;
  readonly gone?: ReadonlyMap<string, string>;
  readonly policy: UnknownPolicy;
  readonly exportsFolder: string;
  readonly httpPort?: number | undefined;
}

/** Joins all that decisions read into one immutable snapshot, indexed the way the wire asks. */
export function buildView({ nodes, ...sources }: ViewSources): BootView {
  const all = [...nodes];
  return {
    ...sources,
    nodes: new Map(all.map((node) => [node.serial, node])),
    nodesByMac: new Map(all.flatMap((node) => (node.mac ? [[node.mac, node] as const] : []))),
    nodesByTail: indexByTail(all),
    nodesByIp: new Map(all.flatMap((node) => (node.ip ? [[node.ip, node] as const] : []))),
  };
}
