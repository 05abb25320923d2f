import type { Mistake, YamlText } from '../../model/yaml-file.ts';
import type { Arch } from '../plan/step.ts';
import type { Context } from './render.ts';
import { readDeclared, type Variable, type VariableValue } from './variables.ts';

/** A recipe of a chain as parsed, before anything is rendered. */
export interface ParsedRecipe {
  readonly name: string;
  readonly yaml: YamlText;
  readonly text?: string;
}

export interface Settled {
  /** By image, the root of the chain first: what its templates may name, its own and those of the images below. */
  readonly contexts: readonly Context[];
  readonly mistakes: readonly Mistake[];
}

/**
 * Gives each variable of a chain its value: by `--set`, else by `set` of the image nearest to the leaf, else its default.
 * @param recipes the root of the chain first. What does not fit the schema is passed over: that is told elsewhere.
 * @param given by `--set`, as texts.
 */
export function settleVariables(
  recipes: readonly ParsedRecipe[],
  given: Readonly<Record<string, string>>,
  arch: Arch,
): Settled {
  const mistakes: Mistake[] = [];
  const declared = new Map<string, { readonly variable: Variable; readonly by: string }>();
  const values = new Map<string, VariableValue>();
  const scopes: string[][] = [];

  for (const { name: image, yaml } of recipes) {
    const wrong = (path: readonly string[], problem: string) =>
      mistakes.push({ file: yaml.file, line: yaml.lineOf(path), key: path.join('.'), problem });
    for (const [name, value] of Object.entries(mapAt(yaml.value, 'set'))) {
      const found = declared.get(name);
      const problem = found ? mismatch(found.variable, value) : unknown(name, image, [...declared.keys()]);
      if (problem !== undefined) wrong(['set', name], problem);
      else values.set(name, value as VariableValue);
    }
    for (const [name, value] of Object.entries(mapAt(yaml.value, 'variables'))) {
      const earlier = declared.get(name);
      if (earlier) {
        const remedy = `to give it another value write "set: {${name}: …}"`;
        wrong(['variables', name], `the image "${earlier.by}" declares this already; ${remedy}`);
        continue;
      }
      const variable = readDeclared(value);
      declared.set(name, { variable, by: image });
      values.set(name, variable.default);
    }
    scopes.push([...declared.keys()]);
  }

  const leaf = recipes.at(-1)?.name ?? '';
  for (const [name, text] of Object.entries(given)) {
    const found = declared.get(name);
    const value = found && fromText(found.variable, text);
    const problem = found ? mismatch(found.variable, value) : unknown(name, leaf, [...declared.keys()]);
    if (problem !== undefined) mistakes.push({ file: '--set', key: name, problem });
    else values.set(name, value as VariableValue);
  }
  const contexts = scopes.map((names) => ({
    arch,
    ...Object.fromEntries(names.map((name) => [name, values.get(name) ?? ''])),
  }));
  return { contexts, mistakes };
}

function mapAt(value: unknown, key: string): Record<string, unknown> {
  const found = (value as Record<string, unknown> | null)?.[key];
  return typeof found === 'object' && found !== null && !Array.isArray(found)
    ? (found as Record<string, unknown>)
    : {};
}

function unknown(name: string, image: string, declared: readonly string[]): string {
  const there = declared.length > 0 ? `there are: ${declared.toSorted().join(', ')}` : 'there are none';
  return `there is no variable "${name}" to set in ${image}; ${there}`;
}

/** What is wrong with a value for this variable. */
function mismatch({ type }: Variable, value: unknown): string | undefined {
  if (type === 'string') return typeof value === 'string' ? undefined : 'must be a text; put it in quotes';
  if (type === 'boolean') return typeof value === 'boolean' ? undefined : 'must be true or false';
  return Number.isSafeInteger(value) ? undefined : 'must be a whole number';
}

/** A text from the command line as the variable has it; the text itself where it is none. */
function fromText({ type }: Variable, text: string): VariableValue {
  if (type === 'integer') return /^-?\d+$/.test(text) ? Number(text) : text;
  return type === 'boolean' && (text === 'true' || text === 'false') ? text === 'true' : text;
}
