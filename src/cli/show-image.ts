import type { Command } from 'commander';
import type { GenerationAnswer, GenerationFile } from '../api/image-routes.ts';
import { callApi, fetchFile } from './client.ts';
import { formatBytes } from './table.ts';

interface ShowOptions {
  log?: boolean;
  lock?: boolean;
  sbom?: boolean;
  json?: boolean;
}

export function addShowCommand(program: Command): void {
  program
    .command('show-image <image|generation>')
    .description('everything known of a sealed generation; for an image, of its published one')
    .option('--log', 'the log of its build')
    .option('--lock', 'its exact packages, for build-image --lock')
    .option('--sbom', 'its bill of materials, CycloneDX 1.6')
    .option('--json', 'for scripts')
    .action(async (reference: string, options: ShowOptions) => {
      const path = generationPath(reference);
      const wanted = (['log', 'lock', 'sbom'] satisfies GenerationFile[]).filter((name) => options[name]);
      for (const name of wanted) process.stdout.write(await fetchFile(program, `${path}/${name}`));
      if (wanted.length > 0) return;
      const answer = await callApi<GenerationAnswer>(program, 'GET', path);
      console.log(options.json ? JSON.stringify(answer, null, 2) : formatGeneration(answer));
    });
}

export const generationPath = (reference: string): string =>
  `/v1/generations/${encodeURIComponent(reference)}`;

export function formatGeneration(answer: GenerationAnswer): string {
  const { generation, isPublished, nodes, bootBytes, has, fetched = {} } = answer;
  const { image, arch, boot, origin, roles } = generation;
  const named = (path: string) => `${path} ${formatBytes(boot.files[path]?.size) ?? '(missing)'}`;
  const count = nodes.length === 1 ? 'one node gets it' : `${nodes.length} nodes get it`;
  const booting = nodes.length > 0 ? `${count}: ${nodes.join(', ')}` : 'no node gets it';
  const rows: Array<[label: string, text: string | undefined]> = [
    ['generation', generation.id],
    ['image', `${image}, ${arch}`],
    ['state', isPublished ? `published; ${booting}` : 'not published'],
    [
      'sealed',
      `${generation.sealedAt}${origin ? ` by ${origin.by}, after ${origin.seconds} s of building` : ''}`,
    ],
    ['content', generation.contains],
    ['recipe', origin?.chain.map((link) => `${link.image} ${link.recipe.slice(0, 12)}`).join(' → ')],
    ['variables', origin && entries(origin.variables, ' = ')],
    ['root', formatBytes(generation.root.size)],
    ['boot tree', `${formatBytes(bootBytes)} in ${Object.keys(boot.files).length} files`],
    [
      'per boot',
      Object.entries(fetched)
        .map(([model, bytes]) => `${model} ${formatBytes(bytes)}`)
        .join(', '),
    ],
    ['kernel', [boot.kernel, boot.initramfs].flatMap((path) => (path ? [named(path)] : [])).join(', ')],
    ['config.txt', boot.config.join(' ')],
    ['cmdline.txt', boot.cmdline.join(' ')],
    [
      'roles',
      entries(Object.fromEntries(Object.entries(roles).map(([name, { target }]) => [name, target])), ' → '),
    ],
    ['packages', `${Object.keys(generation.packages).length}`],
    ['lock', origin?.lock],
    ['more', has.map((name) => (name === 'files' ? 'diff-image' : `--${name}`)).join(', ')],
  ];
  return rows
    .filter(([, text]) => text)
    .map(([label, text]) => `${label.padEnd(11)} ${text}`)
    .join('\n');
}

const entries = (values: Readonly<Record<string, unknown>>, between: string): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}${between}${value}`)
    .join(', ');
