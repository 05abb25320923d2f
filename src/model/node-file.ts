import { z } from 'zod';

export const MOST_FILE_BYTES = 64 * 1024;

const accountSchema = z
  .string()
  .regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'write a name that the node knows, as www-data; numbers are not taken')
  .default('root');

/** A file that a node, or each node of a profile, has and no image holds: a key, a certificate, a setting of its own. */
export const nodeFileSchema = z.strictObject({
  /** On the node. No blanks: the node reads it from a line. */
  path: z
    .string()
    .max(200)
    .regex(/^(\/[\w.@+:-]+)+$/, 'write an absolute path of letters, digits and . _ @ + : -')
    .refine((path) => !/\/\.\.?(\/|$)/.test(path), 'the path may not hold "." or ".."')
    .refine((path) => !/^\/(proc|sys|dev|run\/netboot)(\/|$)/.test(path), 'nothing can be put there'),
  mode: z
    .string()
    .regex(/^0[0-7]{3}$/, 'write the mode as 0600')
    .default('0600'),
  owner: accountSchema,
  group: accountSchema,
  /** Base64. */
  content: z
    .base64()
    .refine((text) => text.length <= (MOST_FILE_BYTES * 4) / 3 + 4, 'a file may have 64 KiB at most'),
});

export type NodeFile = z.output<typeof nodeFileSchema>;
