import type { Command } from 'commander';
import type { NodesAnswer, PublishAnswer, RollbackTargetAnswer } from '../api/schemas.ts';
import { Refusal } from '../model/command.ts';
import { callApi } from './client.ts';
import { loadConfig } from './config-file.ts';

interface RollbackOptions {
  to?: string;
  verify?: boolean;
  json?: boolean;
}

export function addRollbackCommand(program: Command): void {
  program
    .command('rollback-image <image>')
    .description('have the nodes of an image boot the generation again that was published before')
    .option('--to <generation>', 'which one of that image (default: the one that was published before)')
    .option('--verify', 'first read all of its root file system and compare it with what was sealed')
    .option('--json', 'for scripts')
    .action(async (name: string, { to, verify, json }: RollbackOptions) => {
      const path = `/v1/images/${encodeURIComponent(name)}/rollback`;
      const target = verify ? await verified(program, path, to, json) : to;
      const answer = await callApi<PublishAnswer>(program, 'POST', path, { to: target });
      if (json) return console.log(JSON.stringify(answer, null, 2));
      const { nodes } = await callApi<NodesAnswer>(program, 'GET', '/v1/nodes');
      const before = answer.before === undefined ? '' : `, no longer ${answer.before}`;
      console.log(`nodes of image ${name} boot ${answer.generation} from now on${before}`);
      const others = nodes.filter(
        ({ image, boots }) => image === name && boots !== undefined && boots !== answer.generation,
      );
      for (const node of others) console.log(`  ${node.name} keeps ${node.boots} until it reboots`);
    });
}

/** @returns the generation whose bytes are as they were sealed. @throws Refusal when they are not. */
async function verified(
  program: Command,
  path: string,
  to: string | undefined,
  json = false,
): Promise<string> {
  const query = to === undefined ? '' : `?to=${encodeURIComponent(to)}`;
  const { generation } = await callApi<RollbackTargetAnswer>(program, 'GET', `${path}${query}`);
  const { paths } = await loadConfig(program);
  const { readGenerations } = await import('../imaging/generation/generations.ts');
  const { checkGeneration } = await import('../imaging/generation/verify.ts');
  const { generations } = await readGenerations(paths.generations);
  const found = generations.find(({ id }) => id === generation);
  if (!found) throw new Refusal(`${generation} is not in ${paths.generations}`, 'See "netboot images".');
  const { faults } = await checkGeneration(found, 'all');
  if (faults.length > 0)
    throw new Refusal(`${generation} is damaged: ${faults.join(', ')}`, 'Name another one with --to.');
  if (!json) console.log(`${generation} is as it was sealed`);
  return generation;
}
