import type { BootView } from '../model/boot-view.ts';
import { Refusal } from '../model/command.ts';
import type { Node } from '../model/node.ts';
import { matchSerial } from '../net/serial.ts';
import { formatSubnet, isHostAddress } from '../net/subnet.ts';

/**
 * What must hold of a node before it is stored, beside the others in the view.
 * @param images every image there is: published, or with a recipe to build it from.
 * @throws Refusal naming the clash and the remedy.
 */
export function checkNode(view: BootView, node: Node, images: readonly string[]): void {
  for (const other of view.nodes.values()) {
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
  if (node.ip) checkAddress(view, node, node.ip);
  if (!images.includes(node.image)) {
    const known =
      images.length > 0
        ? `Known images: ${images.join(', ')}.`
        : 'No image is known: see paths.images of the configuration.';
    throw new Refusal(`There is no image "${node.image}"`, known);
  }
  const generation = view.published.get(node.image);
  if (node.role && generation && !generation.roles[node.role]) {
    const roles = Object.keys(generation.roles).join(', ') || 'none';
    throw new Refusal(`The image "${node.image}" has no role "${node.role}"`, `Its roles: ${roles}.`);
  }
}

function checkAddress(view: BootView, node: Node, ip: NonNullable<Node['ip']>): void {
  const networks = [...view.networks.values()];
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
  if (network.dhcp !== 'full') {
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
