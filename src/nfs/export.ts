import { z } from 'zod';
import { exportPathSchema } from '../model/export-path.ts';
import { parseSubnet } from '../net/subnet.ts';

/** One line of exports(5): a folder, who may mount it, and how. */
export const exportSchema = z.strictObject({
  path: exportPathSchema,
  /** Subnets, `192.168.172.0/24`. */
  clients: z.array(z.string().refine((text) => parseSubnet(text) !== undefined, 'a subnet')),
  /** The option names of exports(5), which the Ganesha back end translates. */
  options: z.array(z.string().regex(/^[a-z_]+(=[\w-]+)?$/)),
  /** The sealed root that is to be mounted, read-only, at `path`. */
  squashfs: exportPathSchema.optional(),
});

export type Export = z.output<typeof exportSchema>;

/** The desired exports as a file: what an unprivileged service hands to the root process that applies them. */
export const exportsSchema = z.array(exportSchema);

export const isWritable = (entry: Export): boolean => entry.options.includes('rw');

export const fsidOf = (entry: Export): string | undefined =>
  entry.options.find((option) => option.startsWith('fsid='))?.slice('fsid='.length);
