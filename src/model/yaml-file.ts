import { type Document, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, Scalar } from 'yaml';
import type { z } from 'zod';
import { Refusal } from './command.ts';
import { describeIssues } from './schema-issues.ts';

/** Something wrong in a file that a person wrote. */
export interface Mistake {
  readonly file: string;
  /** From 1. */
  readonly line?: number;
  /** `units.enable.0`; empty for the file as a whole. */
  readonly key?: string;
  /** What is wrong and what would be right. */
  readonly problem: string;
}

/** YAML as read, which can still say where each value stands. */
export interface YamlText {
  readonly file: string;
  readonly value: unknown;
  /** The line of the key at the end of `path`, or of the nearest that encloses it. */
  lineOf(path: readonly PropertyKey[]): number;
  /** The line that the text of the value at `path` begins in: of a block (`|`) the one below its key. */
  textLineOf(path: readonly PropertyKey[]): number;
}

/** `file:line: key: what is wrong and what would be right`. */
export function formatMistake({ file, line, key, problem }: Mistake): string {
  return [line === undefined ? file : `${file}:${line}`, ...(key ? [key] : []), problem].join(': ');
}

/** All mistakes as one refusal, a line each, with the remedy. */
export function refuseMistakes(mistakes: readonly Mistake[]): Refusal {
  const files = [...new Set(mistakes.map(({ file }) => file))];
  const which = files.length > 3 ? `these ${files.length} files` : files.join(', ');
  return new Refusal(mistakes.map(formatMistake).join('\n'), `Mend ${which}.`);
}

/**
 * Reads what a person wrote in YAML, by its schema.
 * @param file its name, for the messages.
 * @throws Refusal with one line per mistake: `file:line: key: what is wrong and what would be right`.
 */
export function parseYaml<Schema extends z.ZodType>(
  schema: Schema,
  text: string,
  file: string,
): z.output<Schema> {
  const yaml = readYaml(text, file);
  if ('problem' in yaml) throw refuseMistakes([yaml]);
  const checked = checkYaml(schema, yaml);
  if ('mistakes' in checked) throw refuseMistakes(checked.mistakes);
  return checked.data;
}

/** The text without regard to a schema, or why it is not YAML. */
export function readYaml(text: string, file: string): YamlText | (Mistake & { readonly value?: never }) {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const [broken] = document.errors;
  const lineAt = (offset: number) => lines.linePos(offset).line;
  if (broken) return { file, line: lineAt(broken.pos[0]), problem: `this is not YAML: ${broken.message}` };
  try {
    // An alias of nothing, or one that unfolds without end, is found only now.
    const value: unknown = document.toJS() ?? {};
    if (isDeeperThan(value, 100))
      return { file, problem: 'this holds itself, or lists within lists without end' };
    return {
      file,
      value,
      lineOf: (path) => lineAt(placeOf(document, path).key),
      textLineOf: (path) => {
        const { value } = placeOf(document, path);
        const isBlock =
          isScalar(value) && (value.type === Scalar.BLOCK_LITERAL || value.type === Scalar.BLOCK_FOLDED);
        const offset = isScalar(value) ? value.range?.[0] : undefined;
        return offset === undefined
          ? lineAt(placeOf(document, path).key)
          : lineAt(offset) + (isBlock ? 1 : 0);
      },
    };
  } catch (error) {
    return { file, problem: `this is not YAML: ${(error as Error).message}` };
  }
}

/** Also of an alias of what it stands in. */
function isDeeperThan(value: unknown, levels: number): boolean {
  if (value === null || typeof value !== 'object') return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(inner, levels - 1));
}

/** @param value what stands in the file, where it was worked on since. */
export function checkYaml<Schema extends z.ZodType>(
  schema: Schema,
  yaml: YamlText,
  value: unknown = yaml.value,
): { readonly data: z.output<Schema> } | { readonly mistakes: readonly Mistake[] } {
  const result = schema.safeParse(value);
  if (result.success) return { data: result.data };
  return {
    mistakes: describeIssues(schema, result.error.issues).map(({ path, problem }) => ({
      file: yaml.file,
      line: yaml.lineOf(path),
      key: path.join('.'),
      problem,
    })),
  };
}

/** Where the key at the end of `path` stands in the text, in characters, or the nearest that encloses it; and its value. */
function placeOf(document: Document, path: readonly PropertyKey[]): { key: number; value: unknown } {
  let node: unknown = document.contents;
  let offset = 0;
  for (const part of path) {
    const items: readonly unknown[] = isMap(node) || isSeq(node) ? node.items : [];
    const found = items.find((item, index) =>
      isPair(item) ? String(item.key) === String(part) : index === part,
    );
    if (!found) return { key: offset, value: undefined };
    const key = isPair(found) ? found.key : found;
    const range = isScalar(key) || isMap(key) || isSeq(key) ? key.range : undefined;
    offset = range?.[0] ?? offset;
    node = isPair(found) ? found.value : found;
  }
  return { key: offset, value: node };
}
