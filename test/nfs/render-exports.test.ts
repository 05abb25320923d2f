import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Export } from '../../src/nfs/export.ts';
import { foreignLines, parseExports } from '../../src/nfs/parse.ts';
import { renderExports } from '../../src/nfs/render-exports.ts';

const www: Export = {
  path: '/exports/www',
  clients: ['192.168.172.0/24', '10.0.0.0/8'],
  options: ['rw', 'sync', 'nohide', 'no_root_squash', 'subtree_check'],
};

test('renders the line of S1-6', () => {
  assert.equal(
    renderExports([{ ...www, clients: ['192.168.172.0/24'] }]).split('\n')[1],
    '/exports/www 192.168.172.0/24(rw,sync,nohide,no_root_squash,subtree_check)',
  );
});

test('reads back what it renders; an export to nobody has no line, which would mean everybody', () => {
  const text = renderExports([www, { ...www, path: '/exports/nobody', clients: [] }]);
  assert.deepEqual(parseExports(text), [
    { path: www.path, line: 2, clients: www.clients.map((client) => ({ client, options: www.options })) },
  ]);
});

const lines: ReadonlyArray<{ name: string; arrives: string; expect: string[] }> = [
  { name: 'comments and empty lines', arrives: '# /a *(rw)\n\n   # x\n', expect: [] },
  { name: 'a comment behind', arrives: '/a b(rw) # c(ro)', expect: ['/a b=rw'] },
  { name: 'several clients', arrives: '/a b(rw,sync) *.c(ro)', expect: ['/a b=rw,sync *.c=ro'] },
  { name: 'tabs', arrives: '/a\tb(ro)', expect: ['/a b=ro'] },
  { name: 'no client', arrives: '/a', expect: ['/a *='] },
  { name: 'a space too many', arrives: '/a b (rw)', expect: ['/a b= *=rw'] },
  { name: 'defaults', arrives: '/a -ro,sync b c(rw)', expect: ['/a b=ro,sync c=ro,sync,rw'] },
  { name: 'a quoted path', arrives: '"/a b" c(ro)', expect: ['/a b c=ro'] },
  { name: 'an octal escape', arrives: '/a\\040b c(ro)', expect: ['/a b c=ro'] },
  {
    name: 'a continued line',
    arrives: '/a b(ro) \\\n  c(rw)\n/d e(ro)',
    expect: ['/a b=ro c=rw', '/d e=ro'],
  },
  { name: 'past nonsense and a bracket left open', arrives: 'nonsense here\n/a b(ro', expect: ['/a b=ro'] },
];
for (const { name, arrives, expect } of lines) {
  test(`reads ${name}`, () => {
    const read = parseExports(arrives).map(({ path, clients }) =>
      [path, ...clients.map(({ client, options }) => `${client}=${options.join(',')}`)].join(' '),
    );
    assert.deepEqual(read, expect);
  });
}

test('finds the foreign lines that export our paths, with their place', () => {
  const text = '# mine\n/exports/www/ *(ro)\n/exports/www2 *(ro)\n/exports \\\n *(ro)\n/exports/www h(rw)\n';
  assert.deepEqual(
    foreignLines(text, new Set(['/exports/www'])).map(({ line }) => line),
    [2, 6],
  );
});
