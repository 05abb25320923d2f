import type { BootClient } from '../model/boot-file.ts';
import { type BootView, nodeByMac, nodeOf } from '../model/boot-view.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Node } from '../model/node.ts';
import { type Mac, parseMac } from '../net/mac.ts';
import { matchSerial } from '../net/serial.ts';
import { renderCmdlineTxt } from './cmdline-txt.ts';
import { renderConfigTxt } from './config-txt.ts';
import { normalisePath } from './path.ts';

/** Who asks; `mac` where somebody knows it. */
export interface TreeClient extends BootClient {
  readonly mac?: Mac | undefined;
}

export type Found =
  /**
   * A file of a sealed generation, by its absolute path, with the size its manifest tells. `isGuess`: nobody knows
   * whose client this is, so that a look-up with its MAC may find a better one.
   */
  | {
      readonly kind: 'static';
      readonly file: string;
      readonly size: number;
      readonly isGuess?: true;
    }
  | { readonly kind: 'generated'; readonly text: string }
  /** Nobody's boot file: perhaps a plain file at this relative path below `tftp.root`. */
  | { readonly kind: 'plain'; readonly path: string }
  | { readonly kind: 'missing'; readonly reason: string };

/**
 * What `path` means to this client. A Pi names itself by a prefix, `<serial>/` or (TFTP_PREFIX=2) `<mac-with-dashes>/`;
 * without one it is known by its address. All names under a prefix come from one generation, so the firmware's
 * choice for or against the prefix, made on one file, holds for all the others.
 *
 * Static files are looked up in the manifest and nowhere else: a miss costs no system call, and nothing that is not
 * in the generation is ever made up. A server that also answers for `recovery.elf`, `autoboot.txt` or `dt-blob.bin`
 * sends the firmware down another path (raspberrypi/firmware#1012).
 */
export function lookup(view: BootView, client: TreeClient, path: string): Found {
  const requested = normalisePath(path);
  if (requested.kind === 'refused') return missing(requested.reason);
  const [first, ...rest] = requested.segments as [string, ...string[]];

  const serial = matchSerial(first);
  if (serial) {
    const node = nodeOf(view, serial);
    // The Pi prints this text: it is what the person in front of it reads.
    if (!node) return missing(`no node ${serial}: add it with netboot add-node ${serial}`);
    return fileOf(view, client, node, rest.join('/'));
  }
  const mac = /^([0-9a-f]{2}-){5}[0-9a-f]{2}$/.test(first) ? parseMac(first) : undefined;
  if (mac) {
    const node = nodeByMac(view, mac);
    if (!node) return missing(`no node with MAC ${mac}: add it with netboot add-node <serial> --mac ${mac}`);
    return fileOf(view, client, node, rest.join('/'));
  }

  const name = requested.segments.join('/');
  const node = view.nodesByIp.get(client.address) ?? (client.mac && nodeByMac(view, client.mac));
  if (node) return fileOf(view, client, node, name);
  return (name === 'bootcode.bin' && anyBootcode(view)) || { kind: 'plain', path: name };
}

/**
 * A file of the node's tree: all of them, or none. A node that cannot be booted has no start4.elf either; a Pi that
 * got it and then no config.txt would start without one, and not say why.
 */
function fileOf(view: BootView, client: TreeClient, node: Node, name: string): Found {
  if (name === '') return missing('the path names no file');
  const generation = view.published.get(node.image);
  if (!generation) {
    return missing(
      `image ${node.image} of node ${node.name} has no generation: netboot build-image ${node.image}`,
    );
  }
  if (node.role !== undefined && !Object.hasOwn(generation.roles, node.role)) {
    return missing(`image ${node.image} declares no role ${node.role}, which node ${node.name} has`);
  }
  const network = view.networks.get(client.interface);
  if (!network) return missing(`interface ${client.interface} has no address to mount the root from`);
  switch (name) {
    case 'config.txt':
      return { kind: 'generated', text: renderConfigTxt(node, generation) };
    case 'cmdline.txt':
      return { kind: 'generated', text: renderCmdlineTxt(node, generation, network, view.exportsFolder) };
    default:
      return staticFile(generation, name) ?? missing(`${generation.id} has no ${name}`);
  }
}

function staticFile(
  generation: StoredGeneration,
  name: string,
): Extract<Found, { kind: 'static' }> | undefined {
  const { files } = generation.boot;
  const entry = Object.hasOwn(files, name) ? files[name] : undefined;
  return entry && { kind: 'static', file: `${generation.folder}/boot/${name}`, size: entry.size };
}

/**
 * `bootcode.bin` for a Pi 3 whose address nobody knows yet: its ROM asks without a prefix and tells its serial number
 * only to DHCP, which in proxy mode does not learn the address. The file is the same firmware in every image.
 */
function anyBootcode(view: BootView): Found | undefined {
  for (const generation of view.published.values()) {
    const found = staticFile(generation, 'bootcode.bin');
    if (found) return { ...found, isGuess: true };
  }
  return undefined;
}

function missing(reason: string): Found {
  return { kind: 'missing', reason };
}
