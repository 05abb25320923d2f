import { type Document, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { Refusal } from './command.ts';

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
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const [broken] = document.errors;
  if (broken)
    throw refuse(file, [`${file}:${lines.linePos(broken.pos[0]).line}: this is not YAML: ${broken.message}`]);
  const result = schema.safeParse(unfold(document, file) ?? {});
  if (result.success) return result.data;
  const mistakes = result.error.issues.flatMap((issue) => {
    const isUnknown = issue.code === 'unrecognized_keys';
    const paths = isUnknown ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
    const known = isUnknown
      ? `there is no such key; the keys here are ${keysAt(schema, issue.path).join(', ')}`
      : '';
    return paths.map((path) => {
      const { line } = lines.linePos(offsetOf(document.contents, path));
      return `${file}:${line}: ${path.join('.')}: ${known || describe(issue)}`;
    });
  });
  throw refuse(file, mistakes);
}

/** An alias of nothing, or one that unfolds without end, is found only now. */
function unfold(document: Document, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw refuse(file, [`${file}: this is not YAML: ${(error as Error).message}`]);
  }
}

const refuse = (file: string, mistakes: readonly string[]): Refusal =>
  new Refusal(mistakes.join('\n'), `Mend ${file}.`);

/** Where the key at the end of `path` stands in the text, in characters, or the nearest that encloses it. */
function offsetOf(contents: unknown, path: readonly PropertyKey[]): number {
  let node = contents;
  let offset = 0;
  for (const part of path) {
    const items: readonly unknown[] = isMap(node) || isSeq(node) ? node.items : [];
    const found = items.find((item, index) =>
      isPair(item) ? String(item.key) === String(part) : index === part,
    );
    if (!found) break;
    const key = isPair(found) ? found.key : found;
    if (isScalar(key)) offset = key.range?.[0] ?? offset;
    node = isPair(found) ? found.value : found;
  }
  return offset;
}

/** The keys that the schema knows at `path`, below defaults, transformations and records of any name. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  const bare = unwrap(schema);
  const [key, ...rest] = path;
  if (bare instanceof z.ZodRecord && key !== undefined) return keysAt(bare.valueType as z.ZodType, rest);
  if (!(bare instanceof z.ZodObject)) return [];
  if (key === undefined) return Object.keys(bare.shape);
  const inner = bare.shape[key as string] as z.ZodType | undefined;
  return inner ? keysAt(inner, rest) : [];
}

function unwrap(schema: z.ZodType): z.ZodType {
  // Transformed afterwards (`.transform`) or before (`z.preprocess`): the keys are those of the other half.
  if (schema instanceof z.ZodPipe) {
    return unwrap((schema.in instanceof z.ZodTransform ? schema.out : schema.in) as z.ZodType);
  }
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault || schema instanceof z.ZodOptional) {
    return unwrap(schema.unwrap() as z.ZodType);
  }
  return schema;
}

function describe(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value' && issue.message.startsWith('Invalid'))
    return `must be one of ${issue.values.join(', ')}`;
  if (issue.code !== 'invalid_type' || !issue.message.endsWith('received undefined')) return issue.message;
  return `is missing; it must be ${KINDS[issue.expected] ?? issue.expected}`;
}

const KINDS: Readonly<Record<string, string>> = {
  record: 'a map',
  object: 'a map',
  array: 'a list',
  string: 'a text',
};
