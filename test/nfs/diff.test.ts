import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeChange, diffExports } from '../../src/nfs/diff.ts';
import type { Export } from '../../src/nfs/export.ts';

const a: Export = {
  path: '/e/a',
  clients: ['10.0.0.0/8'],
  options: ['ro', 'sync'],
  squashfs: '/g/a/root.squashfs',
};
const b: Export = { path: '/e/b', clients: ['10.0.0.0/8', '11.0.0.0/8'], options: ['rw'] };

const cases: ReadonlyArray<{ name: string; given: Export[]; arrives: Export[]; expect: string[] }> = [
  { name: 'nothing', given: [a, b], arrives: [b, a], expect: [] },
  { name: 'another order of words', given: [a], arrives: [{ ...a, options: ['sync', 'ro'] }], expect: [] },
  { name: 'added', given: [a], arrives: [a, b], expect: ['/e/b is exported to 10.0.0.0/8, 11.0.0.0/8'] },
  { name: 'removed', given: [a, b], arrives: [b], expect: ['/e/a is no longer exported'] },
  {
    name: 'changed',
    given: [a],
    arrives: [{ ...a, clients: [], options: ['ro'], squashfs: '/g/b/root.squashfs' }],
    expect: [
      '/e/a changed: clients 10.0.0.0/8 → nobody; options ro,sync → ro; root /g/a/root.squashfs → /g/b/root.squashfs',
    ],
  },
  {
    name: 'removals first',
    given: [a],
    arrives: [b],
    expect: ['/e/a is no longer exported', '/e/b is exported to 10.0.0.0/8, 11.0.0.0/8'],
  },
];
for (const { name, given, arrives, expect } of cases) {
  test(name, () => assert.deepEqual(diffExports(given, arrives).map(describeChange), expect));
}
