import { type Command, Option } from 'commander';
import type { NodeAnswer, NodeStatus, NodesAnswer } from '../api/schemas.ts';
import { parseMac } from '../net/mac.ts';
import { parseSerial } from '../net/serial.ts';
import { callApi } from './client.ts';
import { formatTable } from './table.ts';

interface NodeOptions {
  name?: string;
  mac?: string;
  ip?: string;
  image?: string;
  role?: string;
  tftpPrefix?: string;
  ramdisk?: string;
}

export function addNodeCommands(program: Command): void {
  const call = <Answer>(method: string, path: string, body?: unknown): Promise<Answer> =>
    callApi<Answer>(program, method, path, body);

  withNodeOptions(program.command('add-node <serial|mac>'))
    .description('serve the machine with this serial number or MAC from now on; nothing restarts')
    .addHelpText(
      'after',
      `
A Pi by its serial number: 8 or 16 hexadecimal digits, as in /proc/cpuinfo, with or without 0x.
Any other machine by its MAC address, as 52:54:00:12:34:56: the last 8 digits of it are its serial number from then on.`,
    )
    .action(async (reference: string, options: NodeOptions) => {
      const mac = parseMac(reference);
      const identity = mac ? { mac } : { serial: parseSerial(reference) };
      const { node } = await call<NodeAnswer>('POST', '/v1/nodes', { ...bodyOf(options), ...identity });
      console.log(`added ${describe(node)}${mac ? `; ${node.serial} is the end of its MAC ${mac}` : ''}`);
    });

  withNodeOptions(program.command('set-node <serial|name>'))
    .description('change a node; an empty value ("--role=") takes it away')
    .action(async (reference: string, options: NodeOptions) => {
      const body = Object.fromEntries(
        Object.entries(bodyOf(options)).map(([key, value]) => [key, value === '' ? null : value]),
      );
      const { node } = await call<NodeAnswer>('PATCH', nodePath(reference), body);
      console.log(`changed ${describe(node)}; it takes effect when the node boots`);
    });

  program
    .command('remove-node <serial|name>')
    .description('serve this Pi no more; it runs on until it reboots')
    .action(async (reference: string) => {
      const { node } = await call<NodeAnswer>('DELETE', nodePath(reference));
      console.log(`removed ${describe(node)}`);
    });

  program
    .command('nodes')
    .description('list the nodes, and the machines that ask to boot and were not added')
    .option('--json', 'for scripts')
    .action(async ({ json }: { json?: boolean }) => {
      const answer = await call<NodesAnswer>('GET', '/v1/nodes');
      console.log(json ? JSON.stringify(answer, null, 2) : formatNodes(answer));
    });

  program
    .command('show-node <serial|name>')
    .description('everything known of one node')
    .option('--json', 'for scripts')
    .action(async (reference: string, { json }: { json?: boolean }) => {
      const { node } = await call<NodeAnswer>('GET', nodePath(reference));
      console.log(json ? JSON.stringify(node, null, 2) : formatNode(node));
    });
}

function withNodeOptions(command: Command): Command {
  return command
    .option('--name <name>', 'its host name (default: pi-<serial>, or node-<serial> for a MAC)')
    .option('--mac <mac>', 'its Ethernet address (learnt at its first boot)')
    .option('--ip <address>', 'an address reserved for it')
    .option('--image <image>', 'the image it boots')
    .option('--role <role>', 'one of the roles of that image')
    .option('--tftp-prefix <text>', "its EEPROM's TFTP_PREFIX_STR, if it has one")
    .addOption(
      new Option('--ramdisk <on|off>', 'have it fetch its boot tree as one file, boot.img').choices([
        'on',
        'off',
        '',
      ]),
    );
}

/** As the API wants it; an empty value stays one. */
function bodyOf({ ramdisk, ...options }: NodeOptions): Record<string, string | boolean> {
  return {
    ...options,
    ...(ramdisk === undefined ? {} : { ramdisk: ramdisk === '' ? '' : ramdisk === 'on' }),
  };
}

const nodePath = (reference: string): string => `/v1/nodes/${encodeURIComponent(reference)}`;

function describe(node: NodeStatus): string {
  const role = node.role ? ` as ${node.role}` : '';
  const hint = node.state === 'image not built' ? ` (not built yet: netboot build-image ${node.image})` : '';
  return `node ${node.name} (${node.serial}): image ${node.image}${role}${hint}`;
}

function formatNodes({ nodes, waiting }: NodesAnswer): string {
  const rows = [
    ...nodes.map((node) => [
      node.serial,
      node.name,
      node.state,
      node.ip,
      node.mac,
      node.image,
      node.role,
      node.boots,
      node.boots !== undefined && node.boots === node.generation ? '=' : node.generation,
      node.lastSeen,
    ]),
    ...waiting.map((found) => [
      found.serial,
      undefined,
      found.boots ? `not added, served: ${found.machine}` : `waiting: ${found.machine}`,
      undefined,
      found.mac,
      undefined,
      undefined,
      found.booted,
      undefined,
      found.lastSeen,
    ]),
  ];
  const heading = 'SERIAL,NAME,STATE,ADDRESS,MAC,IMAGE,ROLE,BOOTED,PUBLISHED,LAST SEEN'.split(',');
  return formatTable(heading, rows);
}

function formatNode(node: NodeStatus): string {
  return Object.entries(node)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key.padEnd(11)} ${value}`)
    .join('\n');
}
