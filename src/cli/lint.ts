import { relative } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from './config-file.ts';
import { collect, parseSettings } from './settings.ts';

interface LintOptions {
  set?: readonly string[];
  json?: boolean;
  printSchema?: boolean;
}

export function addLintCommand(program: Command): void {
  program
    .command('lint-image [image]')
    .description('check the recipe of an image, or of all images, and say all that is wrong')
    .option('--set <variable=value>', "a value for one of the recipe's variables; may be repeated", collect)
    .option('--json', 'for scripts')
    .option('--print-schema', 'print the format of image.yaml as JSON schema, for editors')
    .action(async (name: string | undefined, { set = [], json, printSchema }: LintOptions) => {
      if (printSchema) {
        const { printRecipeSchema } = await import('../imaging/recipe/json-schema.ts');
        process.stdout.write(printRecipeSchema());
        return;
      }
      const { paths } = await loadConfig(program);
      const { lintImages } = await import('../imaging/recipe/lint.ts');
      const { formatMistake } = await import('../model/yaml-file.ts');
      const { images, findings } = await lintImages(paths.images, name, parseSettings(set));
      const mistakes = findings.filter(({ severity }) => severity === 'mistake');
      if (mistakes.length > 0) process.exitCode = 1;
      if (json) {
        console.log(JSON.stringify({ images, findings }, undefined, 2));
        return;
      }
      for (const finding of findings) {
        const file =
          finding.line === undefined && finding.file.startsWith('--') ? finding.file : near(finding.file);
        const text = formatMistake({ ...finding, file });
        console.log(finding.severity === 'warning' ? `${text} (warning)` : text);
      }
      const what = images.length === 1 ? `the image ${images[0]}` : `${images.length} images`;
      const warnings = findings.length - mistakes.length;
      console.log(`${what}: ${count(mistakes.length, 'mistake')}, ${count(warnings, 'warning')}`);
    });
}

const count = (number: number, what: string) => `${number || 'no'} ${what}${number === 1 ? '' : 's'}`;

/** As short as it can be opened from here. */
function near(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith('..') ? file : path;
}
