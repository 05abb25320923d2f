import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** SHA-256 by name of `<script>.sh`, of enter.sh, and of all that either names as `$LIB/<file>`, at any depth. */
export async function readScripts(folder: string, script: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const open = ['enter.sh', `${script}.sh`];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (name in found) continue;
    const text = await readFile(join(folder, name));
    found[name] = createHash('sha256').update(text).digest('hex');
    for (const [, other = ''] of text.toString('latin1').matchAll(NAMED)) open.push(other);
  }
  return found;
}

/** `$LIB/x.sh`, `"$LIB"/x.sh`, `${LIB}/x.sh`; what follows from a variable (`$LIB/$step.sh`) is known by the plan. */
const NAMED = /\$\{?LIB\}?"?\/([\w-][\w./-]*)/g;
