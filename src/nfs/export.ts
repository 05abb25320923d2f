import { z } from 'zod';
import { parseSubnet } from '../net/subnet.ts';

/** Absolute, normal, and made of characters that neither exports(5) nor ganesha.conf treats specially. */
const pathSchema = z
  .string()
  .regex(/^(\/[\w.@+-]+)+$/, 'an absolute path of letters, digits and . _ @ + -')
  .refine((path) => path.split('/').every((part) => part !== '.' && part !== '..'), 'without "." or ".."');

/** One line of exports(5): a folder, who may mount it, and how. */
export const exportSchema = z.strictObject({
  path: pathSchema,
  /** Subnets, `192.168.172.0/24`. */
  clients: z.array(z.string().refine((text) => parseSubnet(text) !== undefined, 'a subnet')),
  /** The option names of exports(5), which the Ganesha back end translates. */
  options: z.array(z.string().regex(/^[a-z_]+(=[\w-]+)?$/)),
  /** The sealed root that is to be mounted, read-only, at `path`. */
  squashfs: pathSchema.optional(),
});

export type Export = z.output<typeof exportSchema>;

/** The desired exports as a file: what an unprivileged service hands to the root process that applies them. */
export const exportsSchema = z.array(exportSchema);

export const isWritable = (entry: Export): boolean => entry.options.includes('rw');

export const fsidOf = (entry: Export): string | undefined =>
  entry.options.find((option) => option.startsWith('fsid='))?.slice('fsid='.length);
