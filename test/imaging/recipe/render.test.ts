import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createRenderer } from '../../../src/imaging/recipe/render.ts';

const context = { port: 80, on: true, off: false, name: 'a b', arch: 'arm64' };

const cases: readonly { template: string; expect: string | RegExp }[] = [
  { template: 'no template: } { %', expect: 'no template: } { %' },
  { template: 'listen {{ port }};\n', expect: 'listen 80;\n' },
  { template: '{{ on }} {{ off }} {{ name | upcase }}', expect: 'true false A B' },
  { template: '{% if on %}yes{% endif %}{% if off %}no{% endif %}', expect: 'yes' },
  { template: '{%- for n in (1..3) %}{{ n }}{% endfor -%}', expect: '123' },
  { template: '{% assign twice = port | times: 2 %}{{ twice }}', expect: '160' },
  { template: "{% raw %}{{ .State }}{% endraw %}{{ '{{' }}", expect: '{{ .State }}{{' },
  { template: '{{ port.bits }}', expect: /^1: .*undefined variable: port\.bits/ },
  {
    template: '\n{{ prot }}',
    expect: /^2: there is no variable "prot" here, but arch, name, off, on, port; declare it/,
  },
  { template: '{{ constructor }}', expect: /^1: there is no variable "constructor"/ },
  { template: '{{ name | shout }}', expect: /^1: .*undefined filter: shout/ },
  { template: '{% if on %}', expect: /^1: .*not closed/ },
  { template: 'a\n{{ port', expect: /^2: .*not closed/ },
  {
    template: '{% for n in (1..100000000000) %}{{ n }}{% endfor %}',
    expect: /^1: this is no Liquid template/,
  },
  { template: "{% render 'x' %}", expect: /tag "render" not found/ },
  { template: "{% liquid\ninclude 'x'\n%}", expect: /tag "include" not found/ },
  { template: '{{ (1..9) | sample }}', expect: /undefined filter: sample/ },
];

describe('createRenderer', () => {
  const render = createRenderer();
  for (const { template, expect } of cases) {
    it(JSON.stringify(template), () => {
      const result = render(template, context);
      const said =
        'text' in result
          ? result.text
          : result.mistakes.map(({ row, problem }) => `${row}: ${problem}`).join('\n');
      if (typeof expect === 'string') assert.deepEqual(result, { text: expect });
      else assert.match(said, expect);
    });
  }

  it('names every undeclared variable with its line', () => {
    const result = render('{{ b }}\n{% if a %}\n{{ b }}{% endif %}', context);
    assert.deepEqual('mistakes' in result && result.mistakes.map(({ row }) => row), [1, 2, 3]);
  });

  it('says something about any text, and the same each time', () => {
    const piece = fc.constantFrom(
      '{{',
      '}}',
      '{%',
      '%}',
      ' port ',
      ' if ',
      'for x in name',
      '|',
      "'",
      '"',
      '-',
      '\n',
      'a',
      'raw',
      'endif',
      '(1..3)',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const template = pieces.join('');
        assert.deepEqual(render(template, context), render(template, context));
      }),
      { numRuns: 500 },
    );
  });
});
