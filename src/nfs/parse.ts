import { unescapeOctal } from './octal.ts';

/** One line of exports(5) as somebody wrote it. */
export interface ExportLine {
  readonly path: string;
  readonly clients: ReadonlyArray<{ readonly client: string; readonly options: readonly string[] }>;
  /** Where it starts, from 1. */
  readonly line: number;
}

/** Words of a line: a quoted word may hold spaces, and `#` starts a comment outside quotes. */
const WORD = /"([^"]*)"|[^\s"#]+|(#.*)/g;

const splitOptions = (text: string): string[] => text.split(',').filter((option) => option !== '');

/**
 * Reads exports(5): comments, continued lines, quoted and octal-escaped paths, `-defaults` before the clients.
 * A client without a name (`(rw)`) or a line without clients means everybody, `*`. What it cannot read, it skips:
 * such files are other people's.
 */
export function parseExports(text: string): ExportLine[] {
  return joinContinued(text).flatMap(({ line, content }) => {
    const words = [...content.matchAll(WORD)]
      .filter((match) => match[2] === undefined)
      .map((match) => match[1] ?? match[0]);
    const [path, ...rest] = words;
    if (!path?.startsWith('/')) return [];
    return [{ path: unescapeOctal(path), clients: readClients(rest), line }];
  });
}

function readClients(words: readonly string[]): Array<{ client: string; options: string[] }> {
  let defaults: string[] = [];
  const clients: Array<{ client: string; options: string[] }> = [];
  for (const word of words) {
    if (word.startsWith('-')) {
      defaults = splitOptions(word.slice(1));
      continue;
    }
    const [, client = '', options = ''] = /^([^(]*)(?:\(([^)]*)\)?)?$/.exec(word) ?? [];
    clients.push({ client: client || '*', options: [...defaults, ...splitOptions(options)] });
  }
  return clients.length > 0 ? clients : [{ client: '*', options: defaults }];
}

function joinContinued(text: string): Array<{ line: number; content: string }> {
  const joined: Array<{ line: number; content: string }> = [];
  let isContinued = false;
  for (const [index, raw] of text.split('\n').entries()) {
    const content = raw.replace(/\\$/, ' ');
    const last = joined.at(-1);
    if (isContinued && last) last.content += content;
    else joined.push({ line: index + 1, content });
    isContinued = raw.endsWith('\\');
  }
  return joined;
}

/** The lines of somebody else's file that export one of `paths`: exportfs would merge them with ours, unpredictably. */
export function foreignLines(text: string, paths: ReadonlySet<string>): ExportLine[] {
  return parseExports(text).filter((entry) => paths.has(entry.path.replace(/(?<=.)\/+$/, '')));
}
