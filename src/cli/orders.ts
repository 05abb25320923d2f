import type { Command } from 'commander';
import type { OrderAnswer } from '../api/schemas.ts';
import { Refusal } from '../model/command.ts';
import { callApi, ServiceRefusal } from './client.ts';
import { nodeArgument } from './node-argument.ts';
import { nodePath } from './nodes.ts';

interface Options {
  json?: boolean;
}

export function addOrderCommands(program: Command): void {
  program
    .command('reboot')
    .addArgument(nodeArgument('<node...>'))
    .description('tell nodes to reboot, by the reports that they send; returns when they have taken it')
    .option('--json', 'for scripts: one object a line')
    .action((references: string[], { json }: Options) =>
      tellAll(program, references, { order: 'reboot' }, json),
    );

  program
    .command('isolate')
    .addArgument(nodeArgument())
    .argument('<target>', 'as web.target, or the role as web')
    .description(
      'have a node switch to a target, or to a role of the generation that it runs, until it reboots',
    )
    .option('--json', 'for scripts: one object a line')
    .action((reference: string, target: string, { json }: Options) =>
      tellAll(program, [reference], { order: 'isolate', target }, json),
    );
}

/** All at once; what one refuses is no matter of the others. @throws Refusal when one did not take it. */
async function tellAll(
  program: Command,
  references: readonly string[],
  order: { readonly order: string; readonly target?: string },
  json = false,
): Promise<void> {
  const refused: string[] = [];
  await Promise.all(
    references.map(async (reference) => {
      try {
        const answer = await callApi<OrderAnswer>(program, 'POST', `${nodePath(reference)}/orders`, order);
        console.log(json ? JSON.stringify(answer) : described(answer));
      } catch (error) {
        if (references.length === 1 || !(error instanceof ServiceRefusal)) throw error;
        console.error(`netboot: ${error.message}`);
        refused.push(reference);
      }
    }),
  );
  if (refused.length > 0)
    throw new Refusal(`${refused.length} of ${references.length} nodes did not take it`, 'See above.');
}

function described({ name, serial, order, target, ms }: OrderAnswer): string {
  const what = order === 'reboot' ? 'reboots' : `switches to ${target}`;
  return `${name} (${serial}) ${what}: it took the order after ${(ms / 1000).toFixed(1)} s`;
}
