import { checkYaml, type Mistake, type YamlText } from '../../model/yaml-file.ts';
import { type Context, type createRenderer, renderTexts } from './render.ts';
import { type RecipeText, recipeSchema } from './schema.ts';

export interface CheckedRecipe {
  /** Absent when a value is wrong. */
  readonly text?: RecipeText;
  readonly mistakes: readonly Mistake[];
}

/** What leads through the chain before there is anything to render with, or is what is rendered with. */
const NOT_RENDERED = new Set(['base.from', 'base.arch', 'variables', 'set']);

/** The texts of a recipe rendered, then every value checked. */
export function checkRecipe(
  yaml: YamlText,
  context: Context,
  render: ReturnType<typeof createRenderer>,
): CheckedRecipe {
  const mistakes: Mistake[] = [];
  const rendered = renderTexts(
    yaml.value,
    (template, path) => {
      const result = render(template, context);
      if ('text' in result) return result.text;
      for (const { row, problem } of result.mistakes) {
        const line = yaml.textLineOf(path) + row - 1;
        mistakes.push({ file: yaml.file, line, key: path.join('.'), problem });
      }
      return template;
    },
    NOT_RENDERED,
  );
  const unrendered = new Set(mistakes.map(({ key }) => key));
  const checked = checkYaml(recipeSchema, yaml, rendered);
  if ('data' in checked) return { text: checked.data, mistakes };
  return { mistakes: [...mistakes, ...checked.mistakes.filter(({ key }) => !unrendered.has(key))] };
}
