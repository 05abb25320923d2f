import { z } from 'zod';
import { exportPathSchema } from '../model/export-path.ts';
import { parseSubnet } from '../net/subnet.ts';

/** A file system in a sparse file, of which `bytes` are promised and only what is written is taken. */
export const diskSchema = z.strictObject({
  name: z.enum(['root.ext4', 'block.ext4']),
  /** Bounds are checked where it is made, so that one that is out of them spoils no other export. */
  bytes: z.number().positive(),
});

/** What a node writes to: disks of its own, in a folder that nobody else may mount. */
export const areaSchema = z.strictObject({
  disks: z.array(diskSchema).max(2),
  /** Milliseconds since 1970: disks that were made for an earlier one are made anew. */
  epoch: z.number().nonnegative(),
  /** Milliseconds since 1970: until then the node's system does not run, and disks may grow. */
  growUntil: z.number().nonnegative().optional(),
});

/** One line of exports(5): a folder, who may mount it, and how. */
export const exportSchema = z.strictObject({
  path: exportPathSchema,
  /** Subnets, `192.168.172.0/24`. */
  clients: z.array(z.string().refine((text) => parseSubnet(text) !== undefined, 'a subnet')),
  /** The option names of exports(5), which the Ganesha back end translates. */
  options: z.array(z.string().regex(/^[a-z_]+(=[\w-]+)?$/)),
  /** The sealed root that is to be mounted, read-only, at `path`. */
  squashfs: exportPathSchema.optional(),
  /** Makes it the folder of one node: see confine.ts. */
  area: areaSchema.optional(),
});

export type Export = z.output<typeof exportSchema>;
export type Area = z.output<typeof areaSchema>;
export type Disk = z.output<typeof diskSchema>;

/** The desired exports as a file: what an unprivileged service hands to the root process that applies them. */
export const exportsSchema = z.array(exportSchema);

export const isWritable = (entry: Export): boolean => entry.options.includes('rw');

export const fsidOf = (entry: Export): string | undefined =>
  entry.options.find((option) => option.startsWith('fsid='))?.slice('fsid='.length);
