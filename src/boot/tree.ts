import type { BootClient } from '../model/boot-file.ts';
import type { BootPin } from '../model/boot-pin.ts';
import { type BootView, nodeByMac, nodeOf } from '../model/boot-view.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Node } from '../model/node.ts';
import { faultOfRoot, settleRoot } from '../model/root-mode.ts';
import { ipv4FromNumber } from '../net/ipv4.ts';
import { type Mac, parseMac } from '../net/mac.ts';
import { matchSerial } from '../net/serial.ts';
import type { BootImage } from './boot-img.ts';
import { renderCmdlineTxt } from './cmdline-txt.ts';
import { renderConfigTxt } from './config-txt.ts';
import { type Linux, linuxOf } from './linux.ts';
import { normalisePath } from './path.ts';
import { renderBootScr } from './render-boot-scr.ts';
import { renderIpxe } from './render-ipxe.ts';
import { parsePxelinuxName, renderPxelinux } from './render-pxelinux.ts';

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
      readonly sha256: string;
      readonly isGuess?: true;
    }
  | { readonly kind: 'generated'; readonly text: string }
  | { readonly kind: 'generated image'; readonly bytes: Uint8Array }
  /** The whole boot tree as one file, or the signature of that. */
  | { readonly kind: 'boot.img' | 'boot.sig'; readonly image: BootImage }
  /** Nobody's boot file: perhaps a plain file at this relative path below `tftp.root`. */
  | { readonly kind: 'plain'; readonly path: string }
  | { readonly kind: 'missing'; readonly reason: string };

/** Which generation a node gets `name`, a file of its tree, from, and what its command line has in this boot alone. */
export type BootOf = (node: Node, name: string) => Pick<BootPin, 'generation' | 'words'> | undefined;

/**
 * What `path` means to this client. A Pi names itself by a prefix, `<serial>/`, (TFTP_PREFIX=2) `<mac-with-dashes>/` or
 * (TFTP_PREFIX=1) words of its own; without one it is known by its address. All names under a prefix come from one generation, so the firmware's
 * choice for or against the prefix, made on one file, holds for all the others.
 *
 * Static files are looked up in the manifest and nowhere else: a miss costs no system call, and nothing that is not
 * in the generation is ever made up. A server that also answers for `recovery.elf`, `autoboot.txt` or `dt-blob.bin`
 * sends the firmware down another path (raspberrypi/firmware#1012).
 * @param bootOf what is published, unless told.
 */
export function lookup(
  view: BootView,
  client: TreeClient,
  path: string,
  bootOf: BootOf = (node) => {
    const generation = view.published.get(node.image);
    return generation && { generation };
  },
): Found {
  const treeOf = (node: Node, name: string, folder?: string) =>
    name === ''
      ? missing('the path names no file')
      : fileOf(view, client, node, bootOf(node, name), name, folder);
  const requested = normalisePath(path);
  if (requested.kind === 'refused') return missing(requested.reason);
  const [first, ...rest] = requested.segments as [string, ...string[]];

  const serial = matchSerial(first);
  if (serial) {
    const node = nodeOf(view, serial);
    // The Pi prints this text: it is what the person in front of it reads.
    if (!node) return missing(`no node ${serial}: add it with netboot add-node ${serial}`);
    return treeOf(node, rest.join('/'));
  }
  const mac = /^([0-9a-f]{2}-){5}[0-9a-f]{2}$/.test(first) ? parseMac(first) : undefined;
  if (mac) {
    const node = nodeByMac(view, mac);
    if (!node) return missing(`no node with MAC ${mac}: add it with netboot add-node <serial> --mac ${mac}`);
    return treeOf(node, rest.join('/'));
  }

  const name = requested.segments.join('/');
  const byAddress = view.nodesByIp.get(client.address) ?? (client.mac && nodeByMac(view, client.mac));
  const named = nodeOfOwnPrefix(view, name, byAddress);
  if (named) return treeOf(named, name.slice(named.tftpPrefix?.length));
  const node = byAddress ?? nodeOfPxelinuxName(view, name);
  if (node) return treeOf(node, name, `${node.serial}/`);
  return (name === 'bootcode.bin' && anyBootcode(view)) || { kind: 'plain', path: name };
}

/** The node whose EEPROM puts such words before its names. Where several have the same, the address has to tell. */
function nodeOfOwnPrefix(view: BootView, name: string, byAddress: Node | undefined): Node | undefined {
  const fitting = [...view.nodes.values()].filter(
    ({ tftpPrefix }) => tftpPrefix !== undefined && name.startsWith(tftpPrefix),
  );
  const longest = Math.max(...fitting.map(({ tftpPrefix = '' }) => tftpPrefix.length));
  const closest = fitting.filter(({ tftpPrefix }) => tftpPrefix?.length === longest);
  return closest.length === 1 ? closest[0] : closest.find((node) => node === byAddress);
}

/** A machine that was given no prefix and whose address nobody knows may still say who it is by what it asks for. */
function nodeOfPxelinuxName(view: BootView, name: string): Node | undefined {
  const said = parsePxelinuxName(name);
  const mac = said?.mac === undefined ? undefined : parseMac(said.mac);
  if (mac) return nodeByMac(view, mac);
  return said?.address === undefined ? undefined : view.nodesByIp.get(ipv4FromNumber(said.address));
}

/**
 * A file of the node's tree: all of them, or none. A node that cannot be booted has no start4.elf either; a Pi that
 * got it and then no config.txt would start without one, and not say why.
 * @param folder to be put before the names in it by which other files are asked for, where the client does not.
 */
function fileOf(
  view: BootView,
  client: TreeClient,
  node: Node,
  boot: ReturnType<BootOf>,
  name: string,
  folder = '',
): Found {
  const { image } = node;
  if (!boot) {
    const gone = view.gone?.get(image);
    return missing(
      gone === undefined
        ? `image ${image} of node ${node.name} has no generation: netboot build-image ${image}`
        : `${gone}, which image ${image} stands for, is gone from the appliance: netboot rollback-image ${image}, or netboot build-image ${image}`,
    );
  }
  const { generation } = boot;
  if (node.role !== undefined && !Object.hasOwn(generation.roles, node.role)) {
    return missing(`image ${generation.image} declares no role ${node.role}, which node ${node.name} has`);
  }
  const fault = faultOfRoot(node, generation);
  if (fault !== undefined) return missing(fault);
  // Who merely asks must not have the appliance make disks.
  if (!view.nodes.has(node.serial) && settleRoot(node, generation.node).root === 'private') {
    return missing(
      `image ${generation.image} gives each node a disk of its own, and this one was not added: netboot add-node ${node.serial}`,
    );
  }
  const network = view.networks.get(client.interface);
  if (!network) return missing(`interface ${client.interface} has no address to mount the root from`);
  const words = boot.words?.(client.address) ?? [];
  const cmdline = () => renderCmdlineTxt(node, generation, network, view.exportsFolder, words);
  switch (name) {
    case 'config.txt':
      return { kind: 'generated', text: renderConfigTxt(node, generation) };
    case 'cmdline.txt':
      return { kind: 'generated', text: cmdline() };
    case 'boot.img':
    case 'boot.sig': {
      if (generation.arch === 'amd64') break;
      const config = renderConfigTxt(node, generation, 'boot.img');
      return { kind: name, image: { generation, config, cmdline: cmdline() } };
    }
  }
  const file = staticFile(generation, name);
  const linux = () => linuxOf(node, generation, cmdline());
  return file ?? secondStageFile(linux, node, generation, name, folder);
}

/** What the boot loaders of machines that are no Pis read, unless the image has a file of that name of its own. */
function secondStageFile(
  linux: () => Linux,
  node: Node,
  generation: StoredGeneration,
  name: string,
  folder: string,
): Found {
  const isBootScr = name === 'boot.scr.uimg' || name === 'boot.scr';
  if (name === 'boot.ipxe') return { kind: 'generated', text: renderIpxe(linux()) };
  if (!isBootScr && !parsePxelinuxName(name)) return missing(`${generation.id} has no ${name}`);
  if (!linux().isPlain)
    return missing(
      `${generation.id} has no kernel for U-Boot: add u-boot to boot.loaders of image ${node.image}`,
    );
  if (!isBootScr) return { kind: 'generated', text: renderPxelinux(linux(), folder) };
  return { kind: 'generated image', bytes: renderBootScr(linux(), `${node.serial}/`) };
}

function staticFile(
  generation: StoredGeneration,
  name: string,
): Extract<Found, { kind: 'static' }> | undefined {
  const { files } = generation.boot;
  const entry = Object.hasOwn(files, name) ? files[name] : undefined;
  return entry && { kind: 'static', file: `${generation.folder}/boot/${name}`, ...entry };
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
