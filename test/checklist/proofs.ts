import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../rack/appliance.ts';
import { CHAPTERS, type Statement } from './statements.ts';

export const CHECKLIST_FILE = join(REPOSITORY, 'test/checklist.md');

/** A test that says of itself, at the end of its title, which statements it proves. */
export interface Proof {
  /** From the top of the repository. */
  readonly file: string;
  readonly title: string;
  readonly numbers: readonly number[];
}

// A whole string, since a title ends with its tag; a title may be a template or a row of a table of cases.
const TAGGED = /(['"`])((?:(?!\1)[^\\\n]|\\.)*?) \(checklist (\d+(?:, \d+)*)\)\1/g;

/** The tagged titles of a test file's text. */
export function proofsIn(file: string, text: string): Proof[] {
  return [...text.matchAll(TAGGED)].map(([, , title, numbers]) => ({
    file,
    title: (title as string).replace(/\$\{[^}]*\}/g, '…').replace(/\\(.)/g, '$1'),
    numbers: (numbers as string).split(', ').map(Number),
  }));
}

/** Of every test there is but those of the checklist itself. */
export function readProofs(): Proof[] {
  const files = globSync('test/**/*.test.ts', { cwd: REPOSITORY }).toSorted();
  return files
    .filter((file) => !file.startsWith('test/checklist/'))
    .flatMap((file) => proofsIn(file, readFileSync(join(REPOSITORY, file), 'utf8')));
}

/** The text of test/checklist.md. */
export function renderChecklist(proofs: readonly Proof[]): string {
  const row = ({ number, weight, says, leftToHardware, note }: Statement): string => {
    const proving = proofs.filter(({ numbers }) => numbers.includes(number));
    const links = proving.map(({ file, title }) => `${cell(title)} ([${file}](../${file}))`);
    const remarks = [
      ...(note ? [cell(note)] : []),
      ...(leftToHardware ? [`not automated: ${cell(leftToHardware)}`] : []),
    ];
    return `| ${number} | ${weight.toUpperCase()} | ${cell(says)} | ${[...links, ...remarks].join('<br>')} |`;
  };
  const chapters = CHAPTERS.map(({ title, statements }) =>
    [`## ${title}`, '', '| | | Statement | Proven by |', '|---:|---|---|---|', ...statements.map(row)].join(
      '\n',
    ),
  );
  return `${[HEAD, ...chapters].join('\n\n')}\n`;
}

const HEAD = `# What a boot server for Raspberry Pis has to do, and what proves it

Made from the tests’ titles by \`npm run checklist\`: a test that proves a statement ends its title with its number.`;

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}
