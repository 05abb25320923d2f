import type { StoredGeneration } from '../model/generation.ts';
import { platformOf } from '../model/loader.ts';
import type { Node } from '../model/node.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { type Client, machineName } from './client.ts';
import type { Inquiry } from './decision.ts';
import { OPTION, textBytes } from './options.ts';
import { encodePxe } from './pxe.ts';
import { bootOptions, echo, type OptionEntry } from './reply.ts';

/** What a reply tells of booting; an address and its lease are the caller's. */
export interface BootSettings {
  readonly kind: 'boot';
  readonly siaddr?: Ipv4;
  readonly file?: string;
  readonly options: readonly OptionEntry[];
  /** Why, in words. */
  readonly note: string;
}

export interface NothingToBoot {
  readonly kind: 'nothing';
  readonly reason: string;
}

/** A client of which we know which system it is to have. */
interface Guest {
  readonly inquiry: Inquiry;
  readonly node: Node;
  readonly generation: StoredGeneration;
}

/**
 * What this client is told to boot, by the program that asks; the same in full and in proxy mode. Only a native Pi gets
 * the Pi's menu: any other would be trapped in a menu of one dead item.
 */
export function bootSettings(inquiry: Inquiry): BootSettings | NothingToBoot {
  const { client, isServed, node, network, view } = inquiry;
  const machine = machineOf(client);
  if (client.kind === 'plain' || machine === undefined) return nothing('it does not ask to boot');
  if (!isServed) return nothing(`${machine} was not added`);
  const generation = node && view.published.get(node.image);
  if (client.kind === 'pi') {
    if (generation?.arch === 'amd64')
      return nothing(`image ${generation.image} is for PCs, this is a ${machine}`);
    return { kind: 'boot', siaddr: network.address, options: bootOptions(inquiry), note: `${machine} boots` };
  }
  if (!node || !generation) return nothing(`${machine}: its image has no generation`);
  const settings = guestSettings({ inquiry, node, generation }, client);
  return settings.kind === 'boot' ? settings : nothing(`${machine}: ${settings.reason}`);
}

/** What asks to boot, for people; `undefined` for what does not. */
export function machineOf(client: Client): string | undefined {
  switch (client.kind) {
    case 'pi':
      return machineName(client.model);
    case 'pxe':
    case 'http':
      return machineOfArch(client.arch);
    case 'ipxe':
      return `iPXE (${platformOf(client.arch)?.name ?? 'of unknown architecture'})`;
    case 'u-boot':
      return 'U-Boot';
    case 'plain':
      return undefined;
  }
}

/** BIOS and UEFI for x86 are what a PC has; other architectures are more than one kind of machine. */
function machineOfArch(arch: number | undefined): string {
  const platform = platformOf(arch);
  if (!platform) return `a machine of PXE architecture ${arch ?? 'unknown'}`;
  return platform.arch === 'amd64' ? `PC (${platform.name})` : platform.name;
}

function guestSettings(
  guest: Guest,
  client: Exclude<Client, { kind: 'pi' | 'plain' }>,
): BootSettings | NothingToBoot {
  switch (client.kind) {
    case 'pxe':
      return pxe(guest, client.arch);
    case 'http':
      return http(guest, client.arch);
    case 'ipxe':
      return ipxe(guest, client.arch);
    case 'u-boot':
      return uBoot(guest);
  }
}

/** "Boot the file that is named here": no boot servers to be discovered, no menu to be shown (PXE 2.1, table 2-1). */
const NAMED_FILE = encodePxe([{ kind: 'discoveryControl', flags: 8 }]);

const ARM64_UEFI = 11;

/**
 * U-Boot's distro boot asks as UEFI, too, when its script is not there, without the UUID that PXE wants. iPXE hangs in
 * it (2023.01, seen), and in proxy mode it takes our offer for an address.
 */
const U_BOOT_AS_UEFI = 'this is U-Boot, which starts no iPXE: give it its script by u-boot in boot.loaders';

/** A PXE ROM, BIOS or UEFI: a boot loader by TFTP. */
function pxe(guest: Guest, arch: number | undefined): BootSettings | NothingToBoot {
  const { inquiry, node } = guest;
  const { message, network } = inquiry;
  if (arch === ARM64_UEFI && !message.options.has(OPTION.clientMachineId)) return nothing(U_BOOT_AS_UEFI);
  const loader = loaderFor(guest, arch);
  if (typeof loader !== 'string') return loader;
  return {
    kind: 'boot',
    siaddr: network.address,
    file: `${node.serial}/${loader}`,
    options: [
      [OPTION.vendorClass, textBytes('PXEClient')],
      ...echo(message, OPTION.clientMachineId),
      [OPTION.vendorSpecific, NAMED_FILE],
    ],
    note: `boots by ${loader}`,
  };
}

/** UEFI's HTTP boot: it takes only offers that say HTTPClient, and the URL from option 67 (UEFI 2.10, section 24.7). */
function http(guest: Guest, arch: number | undefined): BootSettings | NothingToBoot {
  const { inquiry, node } = guest;
  const loader = loaderFor(guest, arch);
  if (typeof loader !== 'string') return loader;
  const url = urlOf(inquiry, `${node.serial}/${loader}`);
  if (url === undefined) return nothing('it boots by HTTP, which is off');
  return {
    kind: 'boot',
    siaddr: inquiry.network.address,
    options: [
      [OPTION.vendorClass, textBytes('HTTPClient')],
      [OPTION.bootfileName, textBytes(url)],
      ...echo(inquiry.message, OPTION.clientMachineId),
    ],
    note: `boots by ${url}`,
  };
}

/** iPXE's own option space, and in it "wait for no proxy": otherwise it looks around for one for some seconds. */
const IPXE_OPTIONS = 175;
const NO_PROXY = Uint8Array.of(176, 1, 1);

/** iPXE, chained by us or in a network card: the node's script. Its own program again would be an endless circle. */
function ipxe(guest: Guest, arch: number | undefined): BootSettings | NothingToBoot {
  const { inquiry, node, generation } = guest;
  const platform = platformOf(arch);
  if (platform && platform.arch !== generation.arch) return nothing(otherArch(generation));
  const path = `${node.serial}/boot.ipxe`;
  const file = urlOf(inquiry, path) ?? path;
  return {
    kind: 'boot',
    siaddr: inquiry.network.address,
    file,
    options: [
      [OPTION.vendorClass, textBytes('PXEClient')],
      ...echo(inquiry.message, OPTION.clientMachineId),
      ...(inquiry.network.dhcp === 'full' ? [[IPXE_OPTIONS, NO_PROXY] as const] : []),
    ],
    note: `runs the script ${file}`,
  };
}

const ONE_SERVER =
  'it takes the boot file from the server that gives the address: name it there, or let us be that server (dhcp: full)';

/** U-Boot: its script; `pxe get` looks for pxelinux.cfg/ in the same folder. */
function uBoot({ inquiry, node, generation }: Guest): BootSettings | NothingToBoot {
  if (inquiry.network.dhcp === 'proxy') return nothing(ONE_SERVER);
  if (generation.arch === 'amd64') return nothing(otherArch(generation));
  return {
    kind: 'boot',
    siaddr: inquiry.network.address,
    file: `${node.serial}/boot.scr.uimg`,
    options: [],
    note: 'runs the script boot.scr.uimg',
  };
}

/** The program of the node's boot tree that this architecture's firmware can start. */
function loaderFor({ generation }: Guest, arch: number | undefined): string | NothingToBoot {
  const platform = platformOf(arch);
  if (!platform?.loader) return nothing('no boot loader of ours is for it');
  if (platform.arch !== generation.arch) return nothing(otherArch(generation));
  if (Object.hasOwn(generation.boot.files, platform.loader)) return platform.loader;
  return nothing(
    `${generation.id} ships no ${platform.loader}: add ipxe to boot.loaders of image ${generation.image}`,
  );
}

const otherArch = ({ image, arch }: StoredGeneration): string => `image ${image} is for ${arch}`;

/** A dotted quad, as no client needs to resolve names; `undefined` when nothing is served over HTTP. */
function urlOf({ network, view }: Inquiry, path: string): string | undefined {
  if (view.httpPort === undefined) return undefined;
  const port = view.httpPort === 80 ? '' : `:${view.httpPort}`;
  return `http://${network.address}${port}/${path}`;
}

function nothing(reason: string): NothingToBoot {
  return { kind: 'nothing', reason };
}
