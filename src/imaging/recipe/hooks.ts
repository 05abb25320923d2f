import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Mistake } from '../../model/yaml-file.ts';
import type { Hook } from './chain.ts';
import { readText, unreadable } from './folder.ts';
import type { Context } from './render.ts';

/**
 * The scripts of `hooks/` in their order.
 * @param remarks of the recipe, by file name.
 */
export async function readHooks(
  folder: string,
  remarks: Readonly<Record<string, { readonly network: boolean }>>,
  context: Context,
): Promise<{ readonly hooks: readonly Hook[]; readonly mistakes: readonly Mistake[] }> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => error);
  if (names instanceof Error) {
    return { hooks: [], mistakes: names.code === 'ENOENT' ? [] : [unreadable(folder, names)] };
  }
  const mistakes: Mistake[] = [];
  const hooks: Hook[] = [];
  for (const name of names.toSorted()) {
    const file = join(folder, name);
    if (!/^\d\d-[\w.-]+\.sh$/.test(name)) {
      mistakes.push({
        file,
        problem: 'has no place in the order; name it like 10-web.sh, or move it elsewhere',
      });
      continue;
    }
    const script = await readText(file);
    if ('problem' in script) {
      mistakes.push({ ...script, problem: `${script.problem}; a hook is a script` });
      continue;
    }
    const { text } = script;
    mistakes.push(...checkScript(text, context).map((mistake) => ({ file, ...mistake })));
    hooks.push({
      name,
      input: { path: `hooks/${name}`, content: { kind: 'file', file }, mode: 0o755 },
      network: remarks[name]?.network ?? false,
      variables: namedVariables(text, context),
    });
  }
  return { hooks, mistakes };
}

const VARIABLE = /\bVAR_([A-Z0-9_]+)\b/g;

/** What of the context a script names. */
function namedVariables(text: string, context: Context): Record<string, string> {
  const named = new Set([...text.matchAll(VARIABLE)].map(([, name]) => name));
  return Object.fromEntries(
    Object.entries(context)
      .filter(([name]) => named.has(name.toUpperCase()))
      .map(([name, value]) => [`VAR_${name.toUpperCase()}`, String(value)]),
  );
}

function checkScript(text: string, context: Context): Omit<Mistake, 'file'>[] {
  const lines = text.split('\n');
  const [first = ''] = lines;
  if (!/^#!\s*\/\S+/.test(first))
    return [{ line: 1, problem: 'a hook begins with the program that runs it; write #!/bin/sh -eu' }];
  if (first.endsWith('\r'))
    return [{ line: 1, problem: 'the lines end as those of Windows do; save it with Unix line ends' }];
  const known = new Set(Object.keys(context).map((name) => name.toUpperCase()));
  const isItsOwn = (name: string) => new RegExp(`\\bVAR_${name}=`).test(text);
  return lines.flatMap((line, index) => {
    if (/^\s*#/.test(line)) return [];
    // With a value for when it is not set, `${VAR_PORT:-80}`, it is not counted on.
    return [...line.matchAll(/\$(?:VAR_(\w+)|\{VAR_(\w+)(?!:?[-+=?]|\w))/g)]
      .map(([, plain, braced]) => plain ?? braced ?? '')
      .filter((name) => !known.has(name) && !isItsOwn(name))
      .map((name) => ({
        line: index + 1,
        problem: `there is no variable for $VAR_${name}; declare "${name.toLowerCase()}" under "variables"`,
      }));
  });
}
