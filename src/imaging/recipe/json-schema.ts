import { z } from 'zod';
import { recipeSchema } from './schema.ts';

/** The format as JSON schema, for editors: `images/image.schema.json`, which each recipe names in its first line. */
export function recipeJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(recipeSchema, {
    io: 'input',
    target: 'draft-7',
    override: ({ jsonSchema, path }) => {
      // What a key may be called is not rendered; a value with a variable in it is checked when that has been put in.
      if (typeof jsonSchema.pattern !== 'string' || path.includes('propertyNames')) return;
      const { pattern, ...rest } = jsonSchema;
      delete jsonSchema.pattern;
      Object.assign(jsonSchema, rest, { anyOf: [{ pattern }, { pattern: '\\{[{%]' }] });
    },
  });
  return { $schema, title: 'netboot image recipe', ...schema };
}

/** As the file has it. */
export function printRecipeSchema(): string {
  return `${JSON.stringify(recipeJsonSchema(), undefined, 2)}\n`;
}
