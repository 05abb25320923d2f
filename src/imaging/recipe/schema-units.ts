import { z } from 'zod';

const KINDS = 'service|socket|target|mount|automount|timer|path|slice|swap|device|scope';

/** @param hint an example for the message. */
const unit = (kinds: string, hint: string) =>
  z.string().regex(new RegExp(`^[\\w:.\\\\@-]+\\.(${kinds})$`), `write a whole unit name, as ${hint}`);

const unitSchema = unit(KINDS, 'nginx.service');
const unitList = z.array(unitSchema).default([]);
const targetSchema = unit('target', 'multi-user.target');

const ownTargetSchema = z.strictObject({
  description: z.string().optional(),
  requires: unitList,
  wants: unitList,
  after: unitList,
  conflicts: unitList.describe('Units that must not run at the same time'),
  isolate: z.boolean().default(false).describe('"systemctl isolate" may switch to it'),
});

const nameOf = (what: string, suffix: string) =>
  z
    .string()
    .regex(/^[\w:@.-]+$/, `a ${what} has letters, digits, "_", "-", "."`)
    .refine((name) => !name.endsWith(suffix), `write it without "${suffix}"`);

export const unitsSchema = z
  .strictObject({
    default: targetSchema.optional().describe('The target a node boots to that has no role'),
    enable: unitList,
    disable: unitList,
    mask: unitList.describe('Units that nothing may start'),
    wants: z
      .record(unitSchema, z.array(unitSchema))
      .default({})
      .describe('Unit → units that it starts (systemctl add-wants)'),
    dropins: z
      .record(unitSchema, z.record(nameOf('drop-in', '.conf'), z.string()))
      .default({})
      .describe('Unit → name → text of /etc/systemd/system/<unit>.d/<name>.conf'),
    targets: z
      .record(nameOf('target', '.target'), ownTargetSchema)
      .default({})
      .describe('Targets of your own, by name without ".target"'),
  })
  .prefault({})
  .describe('What systemd starts');
