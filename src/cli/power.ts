import { Argument, type Command } from 'commander';
import type { PowerAnswer } from '../api/schemas.ts';
import { callApi } from './client.ts';
import { nodeArgument } from './node-argument.ts';
import { nodePath } from './nodes.ts';

export function addPowerCommand(program: Command): void {
  program
    .command('power')
    .addArgument(nodeArgument())
    .addArgument(new Argument('<action>', 'what to do').choices(['on', 'off', 'cycle']))
    .description(
      "switch a node's power, by the template of the configuration that the node or its profile names",
    )
    .option('--json', 'for scripts')
    .action(async (reference: string, action: string, { json }: { json?: boolean }) => {
      const answer = await callApi<PowerAnswer>(program, 'POST', `${nodePath(reference)}/power`, { action });
      const done = { on: 'on', off: 'off', cycle: 'off and on again' }[answer.action];
      console.log(json ? JSON.stringify(answer) : `power of ${answer.name}: ${done} (${answer.ms} ms)`);
    });
}
