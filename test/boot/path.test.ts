import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { normalisePath } from '../../src/boot/path.ts';

const accepted: Record<string, string> = {
  'config.txt': 'config.txt',
  '9ffefdef/start4.elf': '9ffefdef/start4.elf',
  'bd989ae1//config.txt': 'bd989ae1/config.txt', // Pi 5
  '/bootcode.bin': 'bootcode.bin',
  '//9ffefdef///overlays//overlay_map.dtb': '9ffefdef/overlays/overlay_map.dtb',
  '9ffefdef\\cmdline.txt': '9ffefdef/cmdline.txt',
  '\\boot\\x': 'boot/x',
  './a/./b': 'a/b',
  'a/': 'a',
  '/etc/passwd': 'etc/passwd', // an absolute path is one below the tree
  '..x': '..x',
  'a..b/...': 'a..b/...',
  [`${'a'.repeat(255)}/b`]: `${'a'.repeat(255)}/b`,
};

for (const [requested, expected] of Object.entries(accepted)) {
  test(`${JSON.stringify(requested).slice(0, 50)} is looked up`, () => {
    assert.deepEqual(normalisePath(requested), { kind: 'path', segments: expected.split('/') });
  });
}

const refused: Record<string, [requested: string, reason: RegExp]> = {
  empty: ['', /names no file/],
  'the root': ['/', /names no file/],
  'only dots': ['./.', /names no file/],
  'parent folder': ['..', /"\.\."/],
  'parent folder first': ['../etc/passwd', /"\.\."/],
  'parent folder within': ['9ffefdef/../../etc/passwd', /"\.\."/],
  'parent folder by backslash': ['9ffefdef\\..\\..\\etc', /"\.\."/],
  'parent folder after a root': ['/../../etc/shadow', /"\.\."/],
  NUL: ['config.txt\0.png', /control/],
  'line feed': ['config\n.txt', /control/],
  'terminal escape': ['\x1b[2Jx', /control/],
  DEL: ['a\x7f', /control/],
  'a long name': ['a'.repeat(256), /255/],
  'a long path': ['a/'.repeat(513), /1024/],
};

for (const [name, [requested, reason]] of Object.entries(refused)) {
  test(`refused: ${name}`, () => {
    const found = normalisePath(requested);
    assert.equal(found.kind, 'refused');
    assert.match(found.kind === 'refused' ? found.reason : '', reason);
  });
}

test('property: whatever is asked, a path stays below the tree', () => {
  const piece = fc.oneof(fc.constantFrom('..', '.', '/', '\\', '\0', 'a', '//'), fc.string({ maxLength: 5 }));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const found = normalisePath(pieces.join(''));
      if (found.kind === 'refused') return;
      assert.ok(found.segments.length > 0);
      for (const segment of found.segments)
        assert.ok(!['', '.', '..'].includes(segment) && !/[/\\\0]/.test(segment));
    }),
  );
});
