import { z } from 'zod';
import type { FileChanges } from '../fleet/node-files.ts';
import { nodeSettingsSchema, ownNodeSchema } from '../model/node.ts';
import { nodeFileSchema } from '../model/node-file.ts';

/** What is sent to change nodes and profiles; `null` takes a value away. */

const MOST_CHANGES = 200;

/** By path. What is wrong is said with the path, and never with the content. */
const fileChangesSchema = z.record(z.string(), z.unknown()).transform((given, context): FileChanges => {
  const changes: Record<string, FileChanges[string]> = {};
  const entries = Object.entries(given);
  if (entries.length > MOST_CHANGES) {
    context.addIssue({ code: 'custom', message: `change ${MOST_CHANGES} files at once, at most` });
    return z.NEVER;
  }
  for (const [path, value] of entries) {
    if (value === null) changes[path] = null;
    else {
      const checked = nodeFileSchema.safeParse({ ...Object(value), path });
      for (const issue of checked.error?.issues ?? []) {
        const place = issue.path[0] === 'path' ? '' : `${issue.path.join('.')}: `;
        const message = `file ${JSON.stringify(path.slice(0, 200))}: ${place}${issue.message}`;
        context.addIssue({ code: 'custom', message });
      }
      if (checked.data) {
        const { path: _, ...file } = checked.data;
        changes[path] = file;
      }
    }
  }
  return changes;
});

function takenAwayByNull<Shape extends z.ZodRawShape>(
  shape: Shape,
): { [K in keyof Shape]: z.ZodOptional<z.ZodNullable<Shape[K]>> } {
  const entries = Object.entries(shape).map(([key, schema]) => [
    key,
    z.optional(z.nullable(schema as z.ZodType)),
  ]);
  return Object.fromEntries(entries);
}

export const addNodeSchema = ownNodeSchema
  .partial()
  .extend({ files: fileChangesSchema.optional() })
  // Without a serial number, its MAC stands for it.
  .refine(({ serial, mac }) => serial !== undefined || mac !== undefined, {
    message: 'give the serial number of a Pi, or the MAC address of another machine',
  });

const { serial: _, ...changeable } = ownNodeSchema.shape;

export const setNodeSchema = z.strictObject({
  ...takenAwayByNull(changeable),
  files: fileChangesSchema.optional(),
});

/** Of the address. */
export const removeNodeSchema = z.strictObject({ force: z.stringbool().default(false) });

export const setProfileSchema = z.strictObject({
  ...takenAwayByNull(nodeSettingsSchema.shape),
  files: fileChangesSchema.optional(),
});
