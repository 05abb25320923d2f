import { type BootView, imageOfUnknown, nodeByMac, nodeOf } from '../model/boot-view.ts';
import type { LeaseReader } from '../model/lease.ts';
import type { Node } from '../model/node.ts';
import type { Mac } from '../net/mac.ts';
import { type Serial, serialOfMac } from '../net/serial.ts';
import type { Client } from './client.ts';

/** Which Pi a message is about, as far as it can be told. */
export interface Identity {
  readonly serial: Serial | undefined;
  /** Set when that Pi was added, or is served by `nodes.unknown: serve`. */
  readonly node: Node | undefined;
}

/**
 * Finds the Pi behind a message: the serial its firmware told; else the node with this MAC; else the serial that an
 * earlier stage told with this MAC.
 * A told serial is never overruled by the MAC: what it boots is found by that serial, too.
 */
export function identify(
  client: Client,
  mac: Mac,
  network: string,
  view: BootView,
  leases: LeaseReader,
): Identity {
  const serial =
    (client.kind === 'pi' ? client.serial : undefined) ??
    nodeByMac(view, mac)?.serial ??
    leases.byMac(mac, network)?.serial ??
    serialOfStranger(client, mac, view);
  return { serial, node: serial && nodeOf(view, serial) };
}

/** Under `serve`: a machine that asks to boot and has no serial number is known by its MAC. */
function serialOfStranger(client: Client, mac: Mac, view: BootView): Serial | undefined {
  const asksToBoot = client.kind !== 'pi' && client.kind !== 'plain';
  return asksToBoot && imageOfUnknown(view.policy) !== undefined ? serialOfMac(mac) : undefined;
}

/**
 * Whether this client is told how to boot. Under `serve` that includes a Pi 3 ROM, which tells no serial: it is
 * given bootcode.bin, and bootcode.bin tells it.
 */
export function isServed(client: Client, identity: Identity, view: BootView): boolean {
  if (identity.node) return true;
  return client.kind === 'pi' && imageOfUnknown(view.policy) !== undefined;
}
