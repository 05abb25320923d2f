import { readFile, rename, writeFile } from 'node:fs/promises';

export interface Section {
  readonly title: string;
  readonly body: string;
}

/** A table of Markdown; everything but the first column is a figure and set to the right. */
export function table(heads: readonly string[], rows: ReadonlyArray<ReadonlyArray<string | number>>): string {
  const line = (cells: ReadonlyArray<string | number>) => `| ${cells.join(' | ')} |`;
  const rule = heads.map((_, column) => (column === 0 ? '---' : '---:'));
  return [heads, rule, ...rows].map(line).join('\n');
}

/**
 * Writes the sections into a file of sections, each in the place of the one of the same title: a run of one part
 * leaves the figures of the others, with their own date and command.
 */
export async function writeSections(
  file: string,
  intro: string,
  sections: readonly Section[],
): Promise<void> {
  const before = await readFile(file, 'utf8').catch(() => '');
  const found = before.split(/^## /m).slice(1);
  const merged = new Map(
    found.map((text) => {
      const end = text.indexOf('\n');
      return [text.slice(0, end), text.slice(end + 1).trim()];
    }),
  );
  for (const { title, body } of sections) merged.set(title, body.trim());
  const text = [intro.trim(), ...[...merged].map(([title, body]) => `## ${title}\n\n${body}`)].join('\n\n');
  await writeFile(`${file}.new`, `${text}\n`);
  await rename(`${file}.new`, file);
}
