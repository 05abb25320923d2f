import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';
import type { StoredGeneration } from './generation.ts';
import type { Network } from './network.ts';
import type { Node } from './node.ts';

/** What to do with a Pi nobody added (`nodes.unknown` of the configuration). */
export interface UnknownPolicy {
  readonly unknown: 'hold' | 'serve' | 'ignore';
  readonly defaultImage?: string | undefined;
}

/**
 * Everything a DHCP, TFTP or export decision may read, as one immutable snapshot: decisions never await, and
 * two readings within one decision agree. A change makes a new view, which replaces the old one at once.
 */
export interface BootView {
  /** The store's revision that this view shows. */
  readonly revision: number;
  readonly networks: ReadonlyMap<string, Network>;
  readonly nodes: ReadonlyMap<Serial, Node>;
  readonly nodesByMac: ReadonlyMap<Mac, Node>;
  readonly nodesByIp: ReadonlyMap<Ipv4, Node>;
  /** Image name → the generation its channel points to. */
  readonly published: ReadonlyMap<string, StoredGeneration>;
  readonly policy: UnknownPolicy;
  /** `nfs.exports` of the configuration, `/exports`: sealed roots are mounted at `<exports>/images/<generation id>`. */
  readonly exportsFolder: string;
}

/** Where a generation's root is mounted and exported. */
export function rootExportPath(exportsFolder: string, generationId: string): string {
  return `${exportsFolder}/images/${generationId}`;
}

/** The node as the boot decisions see it; a Pi served by `nodes.unknown: serve` is a node nobody stored. */
export function nodeOf(view: BootView, serial: Serial): Node | undefined {
  const node = view.nodes.get(serial);
  if (node) return node;
  const image = view.policy.defaultImage;
  if (view.policy.unknown !== 'serve' || !image) return undefined;
  return { serial, name: `pi-${serial}`, image };
}
