import { z } from 'zod';
import type { Serial } from '../net/serial.ts';
import type { Generation } from './generation.ts';
import type { Node } from './node.ts';
import { sizeSchema } from './size.ts';

/**
 * What a node may write to.
 *
 * `readonly`: the sealed root as it is; the places that its fstab makes of memory.
 * `overlay`: everything, in memory, up to a ceiling; gone at the next boot.
 * `private`: everything, onto a disk of its own that lies on the appliance; there at the next boot, and under the next generation.
 */
export const rootModeSchema = z.enum(['readonly', 'overlay', 'private']);
export type RootMode = z.output<typeof rootModeSchema>;

/** How a node has its root, as far as somebody says: a node, its profile, or the image. */
export const rootSettingsSchema = z.strictObject({
  root: rootModeSchema.optional(),
  /** The ceiling of what an `overlay` takes of the node's memory: a size, or a share of it. */
  memory: z
    .union([sizeSchema, z.string().regex(/^([1-9]\d?)%$/)], { error: 'write 256M, or 50%' })
    .optional(),
  /** The size of a `private` disk. A sparse file: it takes what is written to it. It can grow, and never shrinks. */
  disk: sizeSchema.optional(),
  /** Version of NFS that the node mounts with. */
  nfs: z.union([z.literal(3), z.literal(4)], { error: 'write 3 or 4' }).optional(),
});
export type RootSettings = z.output<typeof rootSettingsSchema>;

/** What holds where nobody says otherwise. */
export const ROOT_DEFAULTS = {
  root: 'readonly',
  memory: '50%',
  disk: '2G',
  nfs: 3,
} as const satisfies RootSettings;

export type SettledRoot = { readonly [Key in keyof RootSettings]-?: NonNullable<RootSettings[Key]> };

/** How the node has its root, all settled: its own word, else its image's, else the default. */
export function settleRoot(node: RootSettings, image: RootSettings | undefined): SettledRoot {
  return {
    root: node.root ?? image?.root ?? ROOT_DEFAULTS.root,
    memory: node.memory ?? image?.memory ?? ROOT_DEFAULTS.memory,
    disk: node.disk ?? image?.disk ?? ROOT_DEFAULTS.disk,
    nfs: node.nfs ?? image?.nfs ?? ROOT_DEFAULTS.nfs,
  };
}

/** The folder that is exported to this node alone. */
export function privateExportPath(exportsFolder: string, serial: Serial): string {
  return `${exportsFolder}/private/${serial}`;
}

/** In that folder: the disk of a `private` root. */
export const ROOT_DISK = 'root.ext4';

/** Why this generation cannot give the node the root it is to have, with the remedy; `undefined` when it can. */
export function faultOfRoot(
  node: RootSettings & Pick<Node, 'name' | 'serial'>,
  generation: Pick<Generation, 'id' | 'image' | 'boot' | 'node' | 'provides'>,
): string | undefined {
  const { root, nfs } = settleRoot(node, generation.node);
  const hasInitramfs = generation.boot.initramfs !== undefined;
  if (root === 'readonly' && (nfs === 3 || !hasInitramfs)) return undefined;
  const wanted = root === 'readonly' ? 'NFS 4' : `root ${root}`;
  const otherwise = `netboot set-node ${node.serial} ${root === 'readonly' ? '--nfs 3' : '--root readonly'}`;
  if (!hasInitramfs) {
    return `${wanted} of node ${node.name} needs an initramfs, and image ${generation.image} has none: take "initramfs: false" out of it, or ${otherwise}`;
  }
  if (generation.provides?.includes('root-modes')) return undefined;
  return `generation ${generation.id} was built before there was ${wanted}, which node ${node.name} is to have: netboot build-image ${generation.image}, or ${otherwise}`;
}
