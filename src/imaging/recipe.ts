import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { bootSettingsSchema, generationSchema } from '../model/generation.ts';
import { LOADERS } from '../model/loader.ts';
import { parseYaml } from '../model/yaml-file.ts';

const packageSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9+.-]+$/, 'a Debian package name has lower-case letters, digits, "+", "-" and "."');

/** `images/<name>/image.yaml`: what an image is made of, beside its `rootfs/` tree and its `hooks/`. */
export const recipeSchema = z.strictObject({
  base: z.strictObject({
    debian: z.string().regex(/^[a-z]+$/, 'write a Debian code name, for example trixie'),
    arch: z.enum(['arm64', 'amd64'], { error: 'only arm64 (Pis, and others) and amd64 (PCs) are built' }),
    components: z.array(z.string().regex(/^[a-z-]+$/)).min(1),
  }),
  /** Where Debian comes from; otherwise from where the host's own apt gets it. */
  mirror: z
    .url({ protocol: /^https?$/, error: 'write the http or https address of a Debian mirror' })
    .optional(),
  packages: z.array(packageSchema).min(1),
  roles: generationSchema.shape.roles.default({}),
  boot: bootSettingsSchema.omit({ kernel: true, initramfs: true }).extend({
    /** Shipped in the boot tree, for machines that are no Pis. */
    loaders: z.array(z.enum(LOADERS, { error: `the loaders are ${LOADERS.join(', ')}` })).default([]),
  }),
});

export type Recipe = z.output<typeof recipeSchema>;

/** The images there are recipes for. */
export async function recipeNames(recipesFolder: string): Promise<string[]> {
  const names = await readdir(recipesFolder).catch(() => []);
  const isRecipe = (name: string) => stat(join(recipesFolder, name, 'image.yaml')).catch(() => undefined);
  const found = await Promise.all(names.map(async (name) => ((await isRecipe(name)) ? [name] : [])));
  return found.flat().toSorted();
}

/** The architecture an image is built for; `undefined` when there is no such recipe, or it is wrong. */
export async function recipeArch(
  recipesFolder: string,
  name: string,
): Promise<Recipe['base']['arch'] | undefined> {
  const file = join(recipesFolder, name, 'image.yaml');
  try {
    return parseRecipe(await readFile(file, 'utf8'), file).base.arch;
  } catch {
    return undefined; // the build says what is wrong with it
  }
}

/** @throws Refusal with file, line, key and what would be right. */
export function parseRecipe(text: string, file: string): Recipe {
  return parseYaml(recipeSchema, text, file);
}
