import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlias, isMap, isScalar, LineCounter, parseDocument, type Node as YamlNode } from 'yaml';
import { z } from 'zod';
import { Refusal } from '../model/command.ts';
import { bootSettingsSchema, generationSchema } from '../model/generation.ts';

const packageSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9+.-]+$/, 'a Debian package name has lower-case letters, digits, "+", "-" and "."');

/** `images/<name>/image.yaml`: what an image is made of, beside its `rootfs/` tree and its `hooks/`. */
export const recipeSchema = z.strictObject({
  base: z.strictObject({
    debian: z.string().regex(/^[a-z]+$/, 'write a Debian code name, for example trixie'),
    arch: z.literal('arm64', { error: 'only arm64 is built' }),
    components: z.array(z.string().regex(/^[a-z-]+$/)).min(1),
  }),
  /** Where Debian comes from; otherwise from where the host's own apt gets it. */
  mirror: z
    .url({ protocol: /^https?$/, error: 'write the http or https address of a Debian mirror' })
    .optional(),
  packages: z.array(packageSchema).min(1),
  roles: generationSchema.shape.roles.default({}),
  boot: bootSettingsSchema.omit({ kernel: true, initramfs: true }),
});

export type Recipe = z.output<typeof recipeSchema>;

/** The images there are recipes for. */
export async function recipeNames(recipesFolder: string): Promise<string[]> {
  const names = await readdir(recipesFolder).catch(() => []);
  const isRecipe = (name: string) => stat(join(recipesFolder, name, 'image.yaml')).catch(() => undefined);
  const found = await Promise.all(names.map(async (name) => ((await isRecipe(name)) ? [name] : [])));
  return found.flat().toSorted();
}

/** @throws Refusal with file, line, key and what would be right. */
export function parseRecipe(text: string, file: string): Recipe {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [broken] = document.errors;
  if (broken) {
    const { line } = lines.linePos(broken.pos[0]);
    const [problem = ''] = broken.message.split('\n');
    throw new Refusal(
      `${file}:${line}: not YAML: ${problem.replace(/ at line \d+.*$/, '')}`,
      'Mend that line',
    );
  }

  const result = recipeSchema.safeParse(document.toJS() ?? {});
  if (result.success) return result.data;

  // A misspelt key is also a missing one; what is there to be seen is told first.
  const { issues } = result.error;
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const path = [...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])];
  const { line } = lines.linePos(offsetOf(document.contents, path));
  throw new Refusal(
    `${file}:${line}: ${path.join('.') || 'the recipe'}: ${unknown === undefined ? issue?.message : 'there is no such key'}`,
    unknown === undefined
      ? 'See images/web/image.yaml for a recipe that is right'
      : `Here may stand: ${keysAt(issue?.path ?? []).join(', ')}`,
  );
}

/** Where the value at `path` stands in the text, or the nearest that encloses it when it is missing. */
function offsetOf(root: YamlNode | null, path: readonly PropertyKey[]): number {
  let node: YamlNode | null | undefined = root;
  let offset = 0;
  for (const key of path) {
    if (isAlias(node) || !node || !('get' in node)) break;
    const pair = isMap(node)
      ? node.items.find((item) => isScalar(item.key) && item.key.value === key)
      : undefined;
    if (pair && isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
    node = node.get(key, true) as YamlNode | undefined;
    if (!pair) offset = node?.range?.[0] ?? offset;
  }
  return offset;
}

function keysAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = recipeSchema;
  for (const key of path) schema = schema instanceof z.ZodObject ? schema.shape[key as string] : undefined;
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : ['target'];
}
