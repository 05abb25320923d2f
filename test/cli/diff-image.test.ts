import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatDiff } from '../../src/cli/diff-image.ts';
import type { GenerationDiff } from '../../src/imaging/generation/diff.ts';
import type { ListedFile } from '../../src/imaging/generation/listing.ts';

const NOTHING = { added: [], removed: [], changed: [] };
const SAME: GenerationDiff = {
  from: 'web-a',
  to: 'web-b',
  isSameContent: true,
  sizes: { root: { from: 1000, to: 1000 }, boot: { from: 2000, to: 2000 } },
  packages: NOTHING,
  files: NOTHING,
  boot: NOTHING,
  settings: [],
};
const file = (path: string, change: Partial<ListedFile> = {}): ListedFile => ({
  path,
  type: 'f',
  mode: '644',
  uid: 0,
  gid: 0,
  size: 1000,
  sha256: 'a',
  ...change,
});

describe('diff-image', () => {
  it('says in one line each that nothing differs', () => {
    assert.equal(
      formatDiff(SAME, 20),
      [
        'from web-a to web-b: nodes get the same, to the byte',
        'packages: the same',
        'files of the root: the same',
        'boot tree: the same',
        'settings: the same',
        'sizes: root 1.0 kB, boot tree 2.0 kB',
      ].join('\n'),
    );
  });

  it('says what differs', () => {
    const diff: GenerationDiff = {
      ...SAME,
      isSameContent: false,
      sizes: { root: { from: 1000, to: 3000 }, boot: { from: 2000, to: 1500 } },
      packages: {
        added: [{ name: 'curl', version: '8.1' }],
        removed: [{ name: 'zstd', version: '1.5' }],
        changed: [{ name: 'nginx', from: '1.26', to: '1.28' }],
      },
      files: {
        added: [file('etc/new')],
        removed: [file('etc/old', { type: 'd' })],
        changed: [
          {
            path: 'usr/bin/x',
            what: ['content', 'mode', 'owner'],
            from: file('usr/bin/x'),
            to: file('usr/bin/x', { mode: '4755', gid: 33, size: 2500 }),
          },
        ],
      },
      boot: { ...NOTHING, changed: [{ path: 'kernel8.img', from: 9000, to: 8000 }] },
      settings: [
        { key: 'kernel', from: 'a', to: 'b' },
        { key: 'cmdline.txt', to: 'quiet' },
        { key: 'config.txt', from: 'x=1' },
      ],
    };
    assert.equal(
      formatDiff(diff, 20),
      [
        'from web-a to web-b',
        'packages: 1 added, 1 removed, 1 changed',
        '  + curl 8.1',
        '  - zstd 1.5',
        '  ~ nginx 1.26 → 1.28',
        'files of the root: 1 added, 1 removed, 1 changed',
        '  + etc/new 1.0 kB',
        '  - etc/old/ 1.0 kB',
        '  ~ usr/bin/x: content 1.0 kB → 2.5 kB (+1.5 kB), mode 644 → 4755, owner 0:0 → 0:33',
        'boot tree: 1 changed',
        '  ~ kernel8.img 9.0 kB → 8.0 kB (-1.0 kB)',
        'settings:',
        '  ~ kernel: a → b',
        '  + cmdline.txt: quiet',
        '  - config.txt: x=1',
        'sizes: root 1.0 kB → 3.0 kB (+2.0 kB), boot tree 2.0 kB → 1.5 kB (-500 B)',
      ].join('\n'),
    );
  });

  it('shows so many lines of a kind, and how many more there are', () => {
    const added = ['a', 'b', 'c'].map((name) => ({ name, version: '1' }));
    const text = formatDiff({ ...SAME, packages: { ...NOTHING, added } }, 2);
    assert.match(text, /^ {2}\+ a 1\n {2}\+ b 1\n {4}and 1 more added \(--all\)\nfiles/m);
  });

  it('says that the files are not known, and lets no file name command the terminal', () => {
    assert.match(formatDiff({ ...SAME, files: undefined }, 20), /^files of the root: not known/m);
    const hostile = formatDiff({ ...SAME, files: { ...NOTHING, added: [file('\x1b[2Jx\n')] } }, 20);
    assert.match(hostile, / \+ \?\[2Jx\? 1\.0 kB/);
  });
});
