import { z } from 'zod';
import { nameSchema } from './node.ts';
import { rootSettingsSchema } from './root-mode.ts';

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/);
const fileSchema = z.strictObject({ size: z.int().nonnegative(), sha256: sha256Schema });

/** A relative path of the boot tree, `/` between segments, never `.`, `..` or empty segments. */
export const treePathSchema = z
  .string()
  .refine((path) =>
    path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !part.includes('\0')),
  );

/** How the firmware is to start this image's kernel: the image's part of config.txt and cmdline.txt. */
export const bootSettingsSchema = z.strictObject({
  kernel: treePathSchema,
  initramfs: treePathSchema.optional(),
  /** Lines for config.txt, before those of the node. */
  config: z.array(z.string()).default([]),
  /** Words for cmdline.txt, beside root, address and identity, which are the node's. */
  cmdline: z.array(z.string()).default([]),
});

/** How a generation came to be. None of it goes into the id: the same content is the same generation, whoever built it. */
const originSchema = z.object({
  /** `user@host` who had it built. */
  by: z.string(),
  seconds: z.number().nonnegative(),
  /** The images it was built from, the outermost base first, with the SHA-256 of their recipes (`recipe/<image>.yaml`). */
  chain: z.array(z.object({ image: nameSchema, recipe: sha256Schema })),
  /** The recipes' variables as this build settled them. */
  variables: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  /** SHA-256 of `image.lock`, the exact packages; absent where there is none. */
  lock: sha256Schema.optional(),
});

/**
 * A sealed generation: `root.squashfs`, `boot/` and this manifest (`manifest.json`) in a folder named by `id`.
 * Nothing in it ever changes; the id follows from the content. Generations outlive upgrades in both directions: those
 * sealed before `contains` and `origin` were known lack them, and a field that a newer netboot wrote is passed over.
 */
export const generationSchema = z.object({
  /** `<image>-<first 12 hex digits of the content hash>`. */
  id: z.string().regex(/^[a-z0-9-]+-[0-9a-f]{12}$/),
  image: nameSchema,
  arch: z.enum(['arm64', 'armhf', 'amd64']),
  /** ISO 8601, UTC. */
  sealedAt: z.iso.datetime(),
  /** Hash of everything the build was made from: the same key means that building again would change nothing. */
  recipeKey: sha256Schema,
  root: fileSchema,
  boot: bootSettingsSchema.extend({ files: z.record(treePathSchema, fileSchema) }),
  /** Role name → the systemd target that switches it on. */
  roles: z.record(nameSchema, z.strictObject({ target: z.string().regex(/^[\w@.-]+\.target$/) })),
  /** Debian package → version. */
  packages: z.record(z.string(), z.string()),
  /** Hash of all that a node gets (root, boot tree and settings, roles), whatever it was built from. */
  contains: sha256Schema.optional(),
  /** How its nodes have their root, unless they say otherwise. */
  node: rootSettingsSchema.optional(),
  /**
   * What it can do that earlier ones could not. `root-modes`: other roots than `readonly`, and NFS 4, from its
   * initramfs. `reports`: its nodes fetch their identity, report and take orders.
   */
  provides: z.array(z.string()).optional(),
  origin: originSchema.optional(),
});

export type Generation = z.output<typeof generationSchema>;
export type Origin = z.output<typeof originSchema>;
export type BootSettings = z.output<typeof bootSettingsSchema>;

/** A generation and where it lies: `<folder>/boot/<path>`, `<folder>/root.squashfs`. */
export interface StoredGeneration extends Generation {
  readonly folder: string;
}

/** Bytes of the whole boot tree; a node fetches its model's part of it. */
export function bootTreeBytes(generation: Generation): number {
  return Object.values(generation.boot.files).reduce((sum, { size }) => sum + size, 0);
}

/** Whether its nodes fetch their identity, report and take orders. */
export const canReport = ({ provides }: Pick<Generation, 'provides'>): boolean =>
  provides?.includes('reports') ?? false;

/** How a generation's files compare with its manifest. */
export interface GenerationCheck {
  /** Its folder is not there. */
  readonly isGone: boolean;
  /** One sentence each; none when it is as it was sealed. */
  readonly faults: readonly string[];
}
