import { modelOfOui } from '../boot/firmware.ts';
import type { BootView } from '../model/boot-view.ts';
import { Refusal } from '../model/command.ts';
import { NO_ROLE, type Node, type NodeSettings, type OwnNode } from '../model/node.ts';
import { faultOfRoot } from '../model/root-mode.ts';
import { bytesOfSize, DISK_SIZES, isDiskSize } from '../model/size.ts';
import { type Mac, oui, parseMac } from '../net/mac.ts';
import { matchSerial, type Serial, serialOfMac } from '../net/serial.ts';
import { formatSubnet, isHostAddress } from '../net/subnet.ts';
import type { Choices } from './choices.ts';
import { type Members, type Profile, resolveNode } from './resolve.ts';

/**
 * What stands for the serial number of a machine that is added by its MAC.
 * @throws Refusal when the MAC cannot stand for it, or is a Pi's: its firmware will say a serial number, and not this one.
 */
export function serialForMac(mac: Mac | undefined): Serial {
  const serial = mac && serialOfMac(mac);
  if (!mac || !serial)
    throw new Refusal(`${mac ?? 'Nothing'} does not tell a machine`, 'Give another MAC address.');
  if (modelOfOui(oui(mac)) !== undefined) {
    throw new Refusal(
      `${mac} is a Raspberry Pi's, which is known by its serial number`,
      `Add it by that: netboot add-node <serial> --mac ${mac}`,
    );
  }
  return serial;
}

/** The serial is taken: by the same machine, or by another whose MAC ends alike. */
export function clash(serial: Serial, present: OwnNode, asked: { readonly mac?: Mac | undefined }): Refusal {
  if (asked.mac && present.mac !== asked.mac && serial === serialOfMac(asked.mac)) {
    return new Refusal(
      `The last eight digits of ${asked.mac} name node "${present.name}" (${present.mac ?? 'a Pi'}) already`,
      `Give it eight other digits and its MAC: netboot add-node <serial> --mac ${asked.mac}`,
    );
  }
  return new Refusal(
    `Node ${serial} is there already, as "${present.name}"`,
    `Change it with: netboot set-node ${serial}`,
  );
}

/** Of a Pi, or of a machine whose MAC stands for its serial number. */
export function defaultName(serial: Serial, mac: Mac | undefined): string {
  const isPi = !mac || serialOfMac(mac) !== serial || modelOfOui(oui(mac)) !== undefined;
  return `${isPi ? 'pi' : 'node'}-${serial}`;
}

/** Nobody names one. */
export function noImage(images: readonly string[]): Refusal {
  return new Refusal('No image is named', `Give one with --image: ${images.join(', ') || 'none is known'}.`);
}

/**
 * What must hold of a node before it is stored, beside the others.
 * @throws Refusal naming the clash and the remedy.
 */
export function checkNode(
  members: Members,
  own: OwnNode,
  defaultImage: string | undefined,
  choices: Choices,
): void {
  checkOwn(choices.view, members, own);
  const profile = own.profile === undefined ? undefined : findProfile(members, own.profile);
  const node = resolveNode(own, profile, defaultImage);
  if (!node) throw noImage(choices.images);
  checkSettings(node, choices, { own, node, before: members.nodes.get(own.serial) });
}

/** @throws Refusal when there is no such profile. */
export function findProfile({ profiles }: Members, name: string): Profile {
  const found = profiles.get(name);
  if (found) return found;
  const known = profiles.size > 0 ? `Known profiles: ${[...profiles.keys()].join(', ')}. ` : '';
  throw new Refusal(`There is no profile "${name}"`, `${known}Make it with: netboot set-profile ${name}`);
}

function checkOwn(view: BootView, { own }: Members, node: OwnNode): void {
  for (const other of own.values()) {
    if (other.serial === node.serial) continue;
    const who = `node ${other.name} (${other.serial})`;
    if (other.name === node.name)
      throw new Refusal(`The name "${node.name}" belongs to ${who}`, 'Give another one with --name.');
    if (node.ip && other.ip === node.ip) {
      throw new Refusal(
        `The address ${node.ip} belongs to ${who}`,
        'Give another one with --ip, or take it from that node first.',
      );
    }
    if (node.mac && other.mac === node.mac) {
      throw new Refusal(
        `The MAC address ${node.mac} belongs to ${who}`,
        'Correct --mac, or remove that node first.',
      );
    }
  }
  if (matchSerial(node.name) && node.name !== node.serial) {
    throw new Refusal(
      `The name "${node.name}" looks like the serial number of another Pi`,
      'Give another one with --name.',
    );
  }
  const [folder = ''] = node.tftpPrefix?.split('/') ?? [];
  if (matchSerial(folder) || parseMac(folder)) {
    throw new Refusal(
      `The prefix "${node.tftpPrefix}" begins as a Pi's own serial number or MAC address`,
      'Leave --tftp-prefix out: those are known without it. Or give the EEPROM other words.',
    );
  }
  if (node.ip) checkAddress(view, node, node.ip);
}

/** What the disks of a node are sized by. */
const DISK_OPTIONS = {
  '--disk': ({ disk }: NodeSettings) => disk,
  '--block': ({ block }: NodeSettings) => block?.size,
};

/**
 * What must hold of what a node, or a profile, is set to.
 * @param node whose settings these are, if they are one's; `own` what of them it says itself.
 * @param before what holds now: what has not changed is no reason to refuse what does.
 * @throws Refusal naming what there is not, and what there is.
 */
export function checkSettings(
  settings: NodeSettings,
  { view, images, power, intended }: Choices,
  {
    own,
    node,
    before,
  }: {
    readonly own?: OwnNode | undefined;
    readonly node?: Node | undefined;
    readonly before?: NodeSettings | undefined;
  },
): void {
  const { image, role } = settings;
  const isChanged = (...keys: (keyof NodeSettings)[]) =>
    !before || keys.some((key) => settings[key] !== before[key]);
  if (image !== undefined && isChanged('image') && !images.includes(image)) {
    const known =
      images.length > 0
        ? `Known images: ${images.join(', ')}.`
        : 'No image is known: see paths.images of the configuration.';
    throw new Refusal(`There is no image "${image}"`, known);
  }
  if (settings.power !== undefined && isChanged('power') && !power.includes(settings.power)) {
    const known = power.length > 0 ? `There are: ${power.join(', ')}. ` : '';
    throw new Refusal(
      `The configuration has no power template "${settings.power}"`,
      `${known}Add it below "power:" and restart the service.`,
    );
  }
  for (const [option, sizeOf] of Object.entries(DISK_OPTIONS)) {
    const size = sizeOf(settings);
    if (size === undefined || (before && size === sizeOf(before)) || isDiskSize(bytesOfSize(size))) continue;
    throw new Refusal(`No disk can have ${size}`, `Give ${option} ${DISK_SIZES}.`);
  }
  const generation = node ? intended(node) : view.published.get(image ?? '');
  if (!generation) return;
  if (role && role !== NO_ROLE && isChanged('role', 'image') && !generation.roles[role]) {
    const roles = Object.keys(generation.roles).join(', ') || 'none';
    const remedies = [`Its roles: ${roles}.`];
    if (own && own.role === undefined)
      remedies.push(
        `Profile ${own.profile} says so: give node ${own.name} --role ${NO_ROLE}, or another --profile.`,
      );
    else if (!isChanged('role')) remedies.push(`Take it away${own ? ` from node ${own.name}` : ''}: --role=`);
    throw new Refusal(`The image "${image}" has no role "${role}"`, remedies.join(' '));
  }
  const fault = node && isChanged('root', 'nfs', 'image') && faultOfRoot(node, generation);
  if (fault) throw new Refusal(`${fault[0]?.toUpperCase()}${fault.slice(1)}`, 'Nothing has changed.');
}

function checkAddress(view: BootView, node: OwnNode, ip: NonNullable<OwnNode['ip']>): void {
  const networks = [...view.networks.values()].flatMap((each) => [each, ...(each.relayed ?? [])]);
  const network = networks.find(({ subnet }) => isHostAddress(subnet, ip));
  if (!network) {
    const served = networks
      .map(({ subnet, interface: name }) => `${formatSubnet(subnet)} (${name})`)
      .join(', ');
    throw new Refusal(
      `The address ${ip} of node ${node.name} is in none of the served subnets`,
      `Served: ${served}.`,
    );
  }
  // Behind a relay, where ARP tells nothing, it is by this address alone that the node is known.
  if (network.dhcp !== 'full' && network === view.networks.get(network.interface)) {
    throw new Refusal(
      `The address ${ip} of node ${node.name} is not ours to give: interface ${network.interface} has dhcp: ${network.dhcp}`,
      'Reserve it in the DHCP server of that network, and leave --ip out.',
    );
  }
  if (ip === network.address)
    throw new Refusal(`The address ${ip} is this appliance's own`, 'Give another one with --ip.');
  if (ip === network.router)
    throw new Refusal(`The address ${ip} is the router's`, 'Give another one with --ip.');
}
