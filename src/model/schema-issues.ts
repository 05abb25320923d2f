import { z } from 'zod';

/** Something in a value that its schema does not allow, for people. */
export interface DescribedIssue {
  readonly path: readonly PropertyKey[];
  readonly problem: string;
}

type Issue = z.core.$ZodIssue;

/** What zod found, with the keys that there are, and of alternatives the one that was most likely meant. */
export function describeIssues(schema: z.ZodType, issues: readonly Issue[]): DescribedIssue[] {
  return issues.flatMap((issue): DescribedIssue[] => {
    if (issue.code === 'unrecognized_keys') {
      const keys = keysOf(schemaAt(schema, issue.path)).join(', ');
      const problem = `there is no such key; the keys here are ${keys}`;
      return issue.keys.map((key) => ({ path: [...issue.path, key], problem }));
    }
    if (issue.code === 'invalid_union' && isUntold(issue)) return describeUnion(schema, issue);
    if (issue.code === 'invalid_key') {
      const key = String(issue.path.at(-1));
      return issue.issues.map(({ message }) => ({ path: issue.path, problem: `"${key}": ${message}` }));
    }
    return [{ path: issue.path, problem: describe(issue) }];
  });
}

/** Where no message of the schema's own says more. */
const isUntold = ({ message }: Issue) => message === 'Invalid input';

function describeUnion(schema: z.ZodType, issue: z.core.$ZodIssueInvalidUnion): DescribedIssue[] {
  const union = schemaAt(schema, issue.path);
  const options = union instanceof z.ZodUnion ? (union.options as readonly z.ZodType[]) : [];
  const branches = issue.errors.map((issues, index) => ({ issues, schema: options[index] ?? z.any() }));
  const fitting = branches.filter(({ issues }) => !issues.some(isOfAnotherKind));
  if (fitting.length === 0) {
    const kinds = branches.flatMap(({ issues }) => issues.filter(isOfAnotherKind).map(kindOf));
    return [{ path: issue.path, problem: `must be ${[...new Set(kinds)].join(' or ')}` }];
  }
  const [likely] = fitting.toSorted(
    (a, b) => unknownKeys(a.issues) - unknownKeys(b.issues) || a.issues.length - b.issues.length,
  );
  if (!likely) return [];
  return describeIssues(likely.schema, likely.issues).map(({ path, problem }) => ({
    path: [...issue.path, ...path],
    problem,
  }));
}

const isOfAnotherKind = ({ code, path }: Issue) =>
  path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');

const kindOf = (issue: Issue) => {
  if (issue.code === 'invalid_type') return KINDS[issue.expected] ?? `a ${issue.expected}`;
  return issue.code === 'invalid_value' ? issue.values.join(' or ') : issue.message;
};

const unknownKeys = (issues: readonly Issue[]) =>
  issues.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 0), 0);

/** The schema of what stands at `path`. */
function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
  const bare = unwrap(schema);
  const [key, ...rest] = path;
  if (key === undefined) return bare;
  if (bare instanceof z.ZodRecord) return schemaAt(bare.valueType as z.ZodType, rest);
  if (bare instanceof z.ZodArray) return schemaAt(bare.element as z.ZodType, rest);
  if (bare instanceof z.ZodUnion) {
    const found = bare.options.map((option) => schemaAt(option as z.ZodType, path));
    return found.find((option) => option !== undefined);
  }
  if (!(bare instanceof z.ZodObject)) return undefined;
  const inner = bare.shape[key as string] as z.ZodType | undefined;
  return inner && schemaAt(inner, rest);
}

/** The keys that a map may have, below defaults and transformations. */
function keysOf(schema: z.ZodType | undefined): string[] {
  if (schema instanceof z.ZodObject) return Object.keys(schema.shape);
  if (!(schema instanceof z.ZodUnion)) return [];
  return [...new Set(schema.options.flatMap((option) => keysOf(unwrap(option as z.ZodType))))];
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

function describe(issue: Issue): string {
  if (issue.code === 'invalid_value' && issue.message.startsWith('Invalid'))
    return `must be one of ${issue.values.join(', ')}`;
  if (issue.code !== 'invalid_type' || !issue.message.startsWith('Invalid input')) return issue.message;
  const kind = KINDS[issue.expected] ?? issue.expected;
  return issue.message.endsWith('received undefined') ? `is missing; it must be ${kind}` : `must be ${kind}`;
}

const KINDS: Readonly<Record<string, string>> = {
  record: 'a map',
  object: 'a map',
  array: 'a list',
  string: 'a text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
};
