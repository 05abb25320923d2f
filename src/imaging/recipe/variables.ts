import { z } from 'zod';

export type VariableValue = string | number | boolean;

export const variableValueSchema = z.union([z.string(), z.int(), z.boolean()], {
  error: 'write a text, a whole number, true or false',
});

const NAME = /^[a-z][a-z0-9_]*$/;

/** What templates know beside the variables. */
export const GIVEN = ['arch'] as const;

const typed = <Type extends string, Value extends z.ZodType>(type: Type, value: Value) =>
  z.strictObject({
    type: z.literal(type),
    default: value,
    description: z.string().optional().describe('What it does, in a sentence'),
  });

const variableSchema = z.discriminatedUnion(
  'type',
  [
    typed('string', z.string({ error: 'must be a text; put it in quotes' })),
    typed('integer', z.int({ error: 'must be a whole number, without quotes' })),
    typed('boolean', z.boolean({ error: 'must be true or false, without quotes' })),
  ],
  { error: 'the types are string, integer, boolean' },
);

export type Variable = z.output<typeof variableSchema>;

export const variablesSchema = z
  .record(
    z
      .string()
      .regex(NAME, 'a variable has lower-case letters, digits and "_"')
      .refine(
        (name) => !(GIVEN as readonly string[]).includes(name),
        'every image has this already; take another name',
      ),
    variableSchema,
  )
  .default({})
  .describe('Values that templates and texts of this recipe use as {{ name }} and hooks as $VAR_NAME');

/** A declaration that may be wrong in itself, for going on with: its name is known all the same. */
export function readDeclared(value: unknown): Variable {
  const { data } = variableSchema.safeParse(value);
  return data ?? { type: 'string', default: '' };
}
