import type { Command } from 'commander';
import type { DeletedAnswer, RetentionAnswer, WithdrawnAnswer } from '../api/schemas.ts';
import type { WithdrawRequest } from '../fleet/publishing.ts';
import { Refusal } from '../model/command.ts';
import { callApi } from './client.ts';
import { loadConfig } from './config-file.ts';
import { formatBytes, formatTable } from './table.ts';

export function addPruneCommand(program: Command): void {
  program
    .command('prune-images [generation]')
    .description(
      'delete the generations that no image stands for, no node runs and nobody falls back to (needs root)',
    )
    .option('--dry-run', 'only list which ones stay, and why')
    .option('--json', 'for scripts')
    .addHelpText(
      'after',
      `
A generation that is named goes although it would be kept to fall back to; one in use is refused with who uses it.
How many are kept of each image is build.keep of the configuration.`,
    )
    .action(
      async (generation: string | undefined, { dryRun, json }: { dryRun?: boolean; json?: boolean }) => {
        if (dryRun) {
          const all = await callApi<RetentionAnswer>(program, 'GET', '/v1/retention');
          const verdicts = generation === undefined ? all : [whenNamed(all, generation)];
          console.log(json ? JSON.stringify(verdicts, null, 2) : formatRetention(verdicts));
          return;
        }
        const { deleted, bytes } = await pruneImages(program, { generation });
        if (json) console.log(JSON.stringify({ deleted }, null, 2));
        else
          console.log(deleted.length === 0 ? 'nothing to delete' : `deleted ${deleted.join(', ')}: ${bytes}`);
      },
    );
}

/**
 * Deletes what may go, and what an earlier run had begun to delete. The service ends the exports; the folders are gone in
 * one rename each, whatever happens to this program then.
 */
export async function pruneImages(
  program: Command,
  which: WithdrawRequest,
): Promise<{ deleted: readonly string[]; bytes: string }> {
  const { paths } = await loadConfig(program);
  const { checkDeletable, deleteGenerations } = await import('../imaging/generation/delete.ts');
  const { run } = await import('../host/run.ts');
  await checkDeletable(paths.generations);
  const { clearLeftovers } = await import('../imaging/build.ts');
  await clearLeftovers({ cacheFolder: paths.cache, generationsFolder: paths.generations, run });
  const { withdrawn } = await callApi<WithdrawnAnswer>(program, 'POST', '/v1/prune', which);
  const ids = await deleteGenerations(
    run,
    paths.generations,
    withdrawn.map(({ id }) => id),
  );
  const { deleted } = await callApi<DeletedAnswer>(program, 'POST', '/v1/prune/deleted', {
    generations: ids,
  });
  const bytes = withdrawn.reduce((sum, each) => sum + (deleted.includes(each.id) ? each.bytes : 0), 0);
  return { deleted, bytes: formatBytes(bytes) ?? '' };
}

/** After a build: what is too much of its image goes. That this fails takes nothing from the build. */
export async function pruneSuperseded(program: Command, image: string): Promise<readonly string[]> {
  try {
    return (await pruneImages(program, { supersededOf: image })).deleted;
  } catch (error) {
    console.error(`netboot: older generations stay: ${(error as Error).message}`);
    return [];
  }
}

/** Whoever names a generation has it deleted although it would be kept to fall back to. */
function whenNamed(verdicts: RetentionAnswer, id: string): RetentionAnswer[number] {
  const found = verdicts.find((verdict) => verdict.id === id);
  if (!found) throw new Refusal(`There is no generation "${id}"`, 'See "netboot images".');
  return { ...found, goes: found.users.length === 0 };
}

function formatRetention(verdicts: RetentionAnswer): string {
  const rows = verdicts.map(({ id, image, goes, users, reserve }) => [
    id,
    image,
    goes ? 'goes' : 'stays',
    users.join('; ') || reserve,
  ]);
  return formatTable(['GENERATION', 'IMAGE', 'WOULD', 'BECAUSE'], rows);
}
