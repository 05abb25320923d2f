import type { Command } from 'commander';
import type { NodeAnswer, NodeStatus, RemovedAnswer } from '../api/schemas.ts';
import { parseMac } from '../net/mac.ts';
import { parseSerial } from '../net/serial.ts';
import { callApi } from './client.ts';
import { bodyOf, type NodeOptions, takingAway, withNodeOptions } from './node-options.ts';

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
      const { node } = await call<NodeAnswer>('POST', '/v1/nodes', {
        ...(await bodyOf(options)),
        ...identity,
      });
      console.log(`added ${describe(node)}${mac ? `; ${node.serial} is the end of its MAC ${mac}` : ''}`);
    });

  withNodeOptions(program.command('set-node <serial|name>'))
    .description(
      'change a node; an empty value ("--role=") takes its own away, so that its profile or the default holds',
    )
    .action(async (reference: string, options: NodeOptions) => {
      const body = takingAway(await bodyOf(options));
      const { node } = await call<NodeAnswer>('PATCH', nodePath(reference), body);
      console.log(`changed ${describe(node)}; it takes effect when the node boots`);
    });

  program
    .command('remove-node <serial|name>')
    .description('serve this Pi no more; it runs on until it reboots')
    .action(async (reference: string) => {
      const { node, kept } = await call<RemovedAnswer>('DELETE', nodePath(reference));
      const rest = kept ? `; what it wrote stays in ${kept}, until you delete that` : '';
      console.log(`removed ${describe(node)}${rest}`);
    });
}

export const nodePath = (reference: string): string => `/v1/nodes/${encodeURIComponent(reference)}`;

function describe(node: NodeStatus): string {
  const role = node.role ? ` as ${node.role}` : '';
  const hint = !node.isImageBuilt ? ` (not built yet: netboot build-image ${node.image})` : '';
  return `node ${node.name} (${node.serial}): image ${node.image}${role}${hint}`;
}
