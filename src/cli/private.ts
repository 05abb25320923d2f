import type { Command } from 'commander';
import type { ResetAnswer } from '../api/schemas.ts';
import { callApi } from './client.ts';
import { nodeArgument } from './node-argument.ts';
import { nodePath } from './nodes.ts';

export function addPrivateCommand(program: Command): void {
  program
    .command('reset-private')
    .addArgument(nodeArgument())
    .description('make what a node writes to (--root private, --block) anew, empty; what is on it is lost')
    .option('--force', 'also while the node may be running: it loses its disk in the midst of its work')
    .option('--json', 'for scripts')
    .action(async (reference: string, { force = false, json }: { force?: boolean; json?: boolean }) => {
      const answer = await callApi<ResetAnswer>(program, 'POST', `${nodePath(reference)}/reset-private`, {
        force,
      });
      console.log(
        json
          ? JSON.stringify(answer, null, 2)
          : `node ${answer.name} (${answer.serial}): ${answer.disks.join(' and ')} in ${answer.path} made anew`,
      );
    });
}
