import { Liquid, LiquidError } from 'liquidjs';
import type { VariableValue } from './variables.ts';

/** What a template may name. */
export type Context = Readonly<Record<string, VariableValue>>;

export interface TemplateMistake {
  /** Line within the template, from 1. */
  readonly row: number;
  readonly problem: string;
}

export type Rendered = { readonly text: string } | { readonly mistakes: readonly TemplateMistake[] };

/** Others' files are no part of a template, and what it makes must depend on its text and the variables alone. */
const NO_TAGS = ['include', 'render', 'layout', 'block'];
const NO_FILTERS = [
  'date',
  'date_to_xmlschema',
  'date_to_rfc822',
  'date_to_string',
  'date_to_long_string',
  'sample',
];

/** A renderer of templates in Liquid: texts with `{{ name }}` and `{% if name %}`. */
export function createRenderer(): (template: string, context: Context) => Rendered {
  const engine = new Liquid({
    strictVariables: true,
    strictFilters: true,
    ownPropertyOnly: true,
    templates: {},
    renderLimit: 2000,
    memoryLimit: 50_000_000,
  });
  for (const name of NO_TAGS) delete engine.tags[name];
  for (const name of NO_FILTERS) delete engine.filters[name];

  return (template, context) => {
    if (!/\{[{%]/.test(template)) return { text: template };
    try {
      const parsed = engine.parse(template);
      // Not only when it is come across: a branch that is not taken today may be tomorrow.
      const mistakes = Object.entries(engine.analyzeSync(parsed, { partials: false }).globals).flatMap(
        ([name, places]) =>
          Object.hasOwn(context, name)
            ? []
            : places.map(({ location }) => ({ row: location.row, problem: undeclared(name, context) })),
      );
      if (mistakes.length > 0) return { mistakes: mistakes.toSorted((a, b) => a.row - b.row) };
      return { text: String(engine.renderSync(parsed, { ...context })) };
    } catch (error) {
      if (!LiquidError.is(error)) throw error;
      const [row = 1] = error.token?.getPosition?.() ?? [];
      const said = error.message.replace(/, line:\d+, col:\d+$/, '');
      return { mistakes: [{ row, problem: `this is no Liquid template: ${said}` }] };
    }
  };
}

function undeclared(name: string, context: Context): string {
  const known = Object.keys(context).toSorted().join(', ');
  return `there is no variable "${name}" here, but ${known}; declare it under "variables", or write {% raw %}…{% endraw %} around what is no template`;
}

/**
 * Renders every text below `value`; keys stay as they are. A key with nothing behind it, all of its section commented out,
 * is left out.
 * @param skip paths (joined with `.`) that are not to be rendered.
 */
export function renderTexts(
  value: unknown,
  render: (template: string, path: readonly PropertyKey[]) => string,
  skip: ReadonlySet<string>,
  path: readonly PropertyKey[] = [],
): unknown {
  if (skip.has(path.join('.'))) return value;
  if (typeof value === 'string') return render(value, path);
  if (Array.isArray(value))
    return value.map((item, index) => renderTexts(item, render, skip, [...path, index]));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null)
      .map(([key, item]) => [key, renderTexts(item, render, skip, [...path, key])]),
  );
}
