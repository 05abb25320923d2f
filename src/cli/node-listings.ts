import type { Command } from 'commander';
import type { NodeAnswer, NodesAnswer } from '../api/schemas.ts';
import { callApi } from './client.ts';
import { nodeArgument } from './node-argument.ts';
import { formatNode } from './node-format.ts';
import { formatNodes } from './node-table.ts';
import { watchNodes } from './node-watch.ts';
import { nodePath } from './nodes.ts';

export function addNodeListings(program: Command): void {
  const get = <Answer>(path: string): Promise<Answer> => callApi<Answer>(program, 'GET', path);

  program
    .command('nodes')
    .description('list the nodes with their states, and the machines that ask to boot and were not added')
    .option('--watch', 'and then what changes, until you stop it')
    .option('--json', 'for scripts; with --watch one event a line')
    .addHelpText(
      'after',
      `
STATE       off, asked (its firmware asked DHCP), loading (its boot files), kernel, root mounted,
            up (it reports, and nothing is wrong), unhealthy (and why), silent (no report for 150 s)
GENERATION  what it runs; behind the arrow what it is to boot, where that is another`,
    )
    .action(async ({ json, watch }: { json?: boolean; watch?: boolean }) => {
      if (watch) return watchNodes(program, { json });
      const answer = await get<NodesAnswer>('/v1/nodes');
      console.log(json ? JSON.stringify(answer, null, 2) : formatNodes(answer));
    });

  program
    .command('show-node')
    .addArgument(nodeArgument())
    .description('everything known of one node')
    .option('--json', 'for scripts')
    .action(async (reference: string, { json }: { json?: boolean }) => {
      const { node } = await get<NodeAnswer>(nodePath(reference));
      console.log(json ? JSON.stringify(node, null, 2) : formatNode(node));
    });
}
