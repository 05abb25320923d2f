import type { Ipv4 } from '../net/ipv4.ts';
import type { Serial } from '../net/serial.ts';
import type { StoredGeneration } from './generation.ts';
import type { Node } from './node.ts';

/** The generation that a node gets its boot files from, from the first to the last one. */
export interface BootPin {
  readonly generation: StoredGeneration;
  /** Set while the disk does not know of it yet: a reply waits for it, so that a restart cannot change the generation. */
  readonly stored?: Promise<void> | undefined;
  /**
   * What the kernel's command line has in this boot beside what follows from the node: the token by which who boots from
   * this address proves who it is. The same words at every reading of one boot.
   */
  readonly words?: ((address: Ipv4) => readonly string[]) | undefined;
  /** The node has read a file of its tree, or as much of it as it wanted. */
  readonly onServed?: ((name: string, bytes: number) => void) | undefined;
}

/**
 * Asked for each file of a node's tree; `undefined` when nothing is published that the node could boot.
 * @param address who asks, who need not be the node.
 */
export type PinBoot = (node: Node, name: string, address: Ipv4) => BootPin | undefined;

/**
 * A program that boots asked DHCP where to begin. One boot is several of them, one after the other: a boot ROM, the
 * firmware it fetched, a boot loader.
 */
export interface BootStage {
  readonly serial: Serial;
  /** Programs with a higher number are started by those with a lower one. */
  readonly order: number;
  readonly xid: number;
}
