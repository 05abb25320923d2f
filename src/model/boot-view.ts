import { type PiModel, SERIAL_TAIL_OUI } from '../boot/firmware.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { type Mac, oui } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';
import type { StoredGeneration } from './generation.ts';
import type { Network } from './network.ts';
import type { Node } from './node.ts';

/** What to do with a Pi nobody added (`nodes.unknown` of the configuration). */
export interface UnknownPolicy {
  readonly unknown: 'hold' | 'serve' | 'ignore';
  readonly defaultImage?: string | undefined;
  /** Makers' prefixes of Ethernet addresses that are Pis, beside those that are known. */
  readonly ouis?: ReadonlyMap<string, PiModel> | undefined;
}

/** The image that a Pi nobody added boots; `undefined` when it boots none. */
export const imageOfUnknown = ({ unknown, defaultImage }: UnknownPolicy): string | undefined =>
  unknown === 'serve' ? defaultImage : undefined;

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
  /** See {@link indexByTail}. */
  readonly nodesByTail: ReadonlyMap<string, readonly Node[]>;
  /** Image name → the generation its channel points to. */
  readonly published: ReadonlyMap<string, StoredGeneration>;
  /** Image name → the generation its channel points to, when that is no longer on the disk. */
  readonly gone?: ReadonlyMap<string, string>;
  readonly policy: UnknownPolicy;
  /** Where the boot trees are served over HTTP, too; absent when they are not. */
  readonly httpPort?: number | undefined;
  /** `nfs.exports` of the configuration, `/exports`: sealed roots are mounted at `<exports>/images/<generation id>`. */
  readonly exportsFolder: string;
}

/** Where a generation's root is mounted and exported. */
export function rootExportPath(exportsFolder: string, generationId: string): string {
  return `${exportsFolder}/images/${generationId}`;
}

/**
 * The added node with this MAC. The MAC of a Pi 1-3 ends in the low 24 bits of its serial number, so one whose MAC nobody
 * told is found by that, unless two nodes share those bits.
 */
export function nodeByMac(view: BootView, mac: Mac): Node | undefined {
  const known = view.nodesByMac.get(mac);
  if (known || oui(mac) !== SERIAL_TAIL_OUI.value) return known;
  const tail = mac.slice(9).replaceAll(':', '');
  const candidates = view.nodesByTail.get(tail);
  return candidates?.length === 1 ? candidates[0] : undefined;
}

/** The nodes whose MAC nobody told, by the last six digits of their serial number. */
export function indexByTail(nodes: Iterable<Node>): ReadonlyMap<string, readonly Node[]> {
  return Map.groupBy(
    [...nodes].filter(({ mac }) => mac === undefined),
    ({ serial }) => serial.slice(-6),
  );
}

/** The node as the boot decisions see it; a Pi served by `nodes.unknown: serve` is a node nobody stored. */
export function nodeOf(view: BootView, serial: Serial): Node | undefined {
  const node = view.nodes.get(serial);
  if (node) return node;
  const image = imageOfUnknown(view.policy);
  return image === undefined ? undefined : { serial, name: `pi-${serial}`, image };
}
