import type { Command } from 'commander';
import type { ImageStatus } from '../api/schemas.ts';
import { addBuildCommand } from './build-image.ts';
import { callApi } from './client.ts';
import { addDiffCommand } from './diff-image.ts';
import { addImportCommand } from './import.ts';
import { addShowCommand } from './show-image.ts';
import { formatBytes, formatTable } from './table.ts';

export function addImageCommands(program: Command): void {
  addBuildCommand(program);
  addImportCommand(program);
  program
    .command('images')
    .description('list the images, what is published of them, and which older generations are kept')
    .option('--json', 'for scripts')
    .action(async ({ json }: { json?: boolean }) => {
      const images = await callApi<readonly ImageStatus[]>(program, 'GET', '/v1/images');
      console.log(json ? JSON.stringify(images, null, 2) : formatImages(images));
    });
  addShowCommand(program);
  addDiffCommand(program);
}

export function formatImages(images: readonly ImageStatus[]): string {
  const rows = images.flatMap((image) => [
    [
      image.image,
      image.generation ?? (image.others.length > 0 ? 'none published' : 'not built'),
      image.sealedAt,
      formatBytes(image.rootBytes),
      formatBytes(image.bootBytes),
      image.roles.join(',') || undefined,
      image.nodes,
      image.generation ? 'published' : undefined,
    ],
    ...image.others.map((other) => [
      '',
      other.id,
      other.sealedAt,
      formatBytes(other.rootBytes),
      formatBytes(other.bootBytes),
      '',
      '',
      reason(other.kept),
    ]),
  ]);
  const heading = ['IMAGE', 'GENERATION', 'SEALED', 'ROOT', 'BOOT TREE', 'ROLES', 'NODES', 'STATE'];
  return formatTable(heading, rows);
}

function reason([first, ...more]: readonly string[]): string {
  if (first === undefined) return 'goes with prune-images';
  return `kept: ${first}${more.length > 0 ? `, and ${more.length} more` : ''}`;
}
