import type { Command } from 'commander';
import type { NodeAnswer, NodeStatus, RemovedAnswer } from '../api/schemas.ts';
import { NO_ROLE } from '../model/node.ts';
import { parseMac } from '../net/mac.ts';
import { parseSerial } from '../net/serial.ts';
import { callApi } from './client.ts';
import { nodeArgument } from './node-argument.ts';
import { bodyOf, leavingOut, type NodeOptions, takingAway, withNodeOptions } from './node-options.ts';

interface JsonOption {
  json?: boolean;
}

export function addNodeCommands(program: Command): void {
  const call = <Answer>(method: string, path: string, body?: unknown): Promise<Answer> =>
    callApi<Answer>(program, method, path, body);

  withNodeOptions(program.command('add-node <serial|mac>'))
    .description('serve the machine with this serial number or MAC from now on; nothing restarts')
    .option('--json', 'for scripts')
    .addHelpText(
      'after',
      `
A Pi by its serial number: 8 or 16 hexadecimal digits, as in /proc/cpuinfo, with or without 0x.
Any other machine by its MAC address, as 52:54:00:12:34:56: the last 8 digits of it are its serial number from then on.`,
    )
    .action(async (reference: string, { json, ...options }: NodeOptions & JsonOption) => {
      const mac = parseMac(reference);
      const identity = mac ? { mac } : { serial: parseSerial(reference) };
      const body = { ...leavingOut(await bodyOf(options)), ...identity };
      const answer = await call<NodeAnswer>('POST', '/v1/nodes', body);
      if (json) return console.log(JSON.stringify(answer, null, 2));
      const { node } = answer;
      console.log(`added ${describe(node)}${mac ? `; ${node.serial} is the end of its MAC ${mac}` : ''}`);
    });

  withNodeOptions(program.command('set-node').addArgument(nodeArgument()))
    .description(
      'change a node; an empty value ("--role=") takes its own away, so that its profile or the default holds',
    )
    .option('--json', 'for scripts')
    .action(async (reference: string, { json, ...options }: NodeOptions & JsonOption) => {
      const body = takingAway(await bodyOf(options));
      const answer = await call<NodeAnswer>('PATCH', nodePath(reference), body);
      if (json) return console.log(JSON.stringify(answer, null, 2));
      console.log(`changed ${describe(answer.node)}; it takes effect when the node boots`);
    });

  program
    .command('remove-node')
    .addArgument(nodeArgument())
    .description(
      'serve a node no more; it runs on until it reboots or is switched off, but not without its disk (--root private, --block)',
    )
    .option('--force', 'also while the node may be writing to its disk: it loses it in the midst of its work')
    .option('--json', 'for scripts')
    .action(async (reference: string, { force, json }: { force?: boolean } & JsonOption) => {
      const query = force ? '?force=true' : '';
      const answer = await call<RemovedAnswer>('DELETE', `${nodePath(reference)}${query}`);
      if (json) return console.log(JSON.stringify(answer, null, 2));
      const { node, kept } = answer;
      const rest = kept ? `; what it wrote stays in ${kept}, until you delete that` : '';
      console.log(`removed ${describe(node)}${rest}`);
    });
}

export const nodePath = (reference: string): string => `/v1/nodes/${encodeURIComponent(reference)}`;

function describe(node: NodeStatus): string {
  const role = node.role && node.role !== NO_ROLE ? ` as ${node.role}` : '';
  const hint = !node.isImageBuilt ? ` (not built yet: netboot build-image ${node.image})` : '';
  return `node ${node.name} (${node.serial}): image ${node.image}${role}${hint}`;
}
