import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { stampOf } from '../../src/boot/fat-directory.ts';
import { layoutHead, renderTail } from '../../src/boot/fat-layout.ts';
import { longNameEntries, shortNames, UnfitForFat } from '../../src/boot/fat-names.ts';

/** Foreign readers judge: dosfstools finds no fault, and mtools reads back what was put in. */
const skip =
  existsSync('/usr/bin/mcopy') && existsSync('/usr/sbin/fsck.vfat') ? false : 'no mtools or dosfstools';
let folder: string;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'netboot-fat-'));
});
after(() => rm(folder, { recursive: true }));

/** The whole image as bytes; a file's are derived from its path. */
function imageOf(files: Readonly<Record<string, Buffer>>, own: Readonly<Record<string, Buffer>>): Buffer {
  const sizes = (of: Readonly<Record<string, Buffer>>) =>
    new Map(Object.entries(of).map(([name, bytes]) => [name, bytes.length]));
  const head = layoutHead(sizes(files), sizes(own), {
    volumeId: 0xdeadbeef,
    stamp: stampOf(new Date('2026-11-21T20:30:42Z')),
  });
  const image = Buffer.alloc(head.size);
  let end = 0;
  for (const { at, length, content } of head.pieces) {
    assert.ok(at >= end, 'pieces are in order and do not overlap');
    end = at + length;
    image.set(typeof content === 'string' ? (files[content] as Buffer) : content, at);
  }
  assert.ok(end <= head.tailAt);
  image.set(renderTail(head, new Map(Object.entries(own))), head.tailAt);
  return image;
}

async function readBack(image: Buffer): Promise<Map<string, Buffer>> {
  const file = path.join(folder, 'image');
  await writeFile(file, image);
  const verdict = execFileSync('/usr/sbin/fsck.vfat', ['-n', file]).toString();
  assert.doesNotMatch(verdict, /differ|orphan|bad|wrong|contain|free cluster.*wrong/i);
  const out = await mkdtemp(path.join(folder, 'out-'));
  execFileSync('mcopy', ['-s', '-n', '-i', file, '::/', out]);
  const names = await readdir(out, { recursive: true, withFileTypes: true });
  return new Map(
    await Promise.all(
      names
        .filter((entry) => entry.isFile())
        .map(async (entry) => {
          const found = path.join(entry.parentPath, entry.name);
          return [path.relative(out, found), await readFile(found)] as const;
        }),
    ),
  );
}

const bytes = (length: number, seed = 1) =>
  Buffer.from(Array.from({ length }, (_, index) => (index * 31 + seed * 17) & 0xff));

test('a foreign reader finds every file, whole, and no fault', { skip }, async () => {
  const files = {
    'kernel8.img': bytes(1_000_001),
    'bcm2711-rpi-4-b.dtb': bytes(513),
    'bcm2711-rpi-400.dtb': bytes(512),
    'overlays/README': bytes(1),
    'overlays/vc4-kms-v3d-pi5.dtbo': bytes(100),
    'overlays/vc4-kms-v3d-pi4.dtbo': bytes(99),
    'overlays/deep/er/a b.c.d.txt': bytes(700),
    EMPTY: Buffer.alloc(0),
    'ünïcode ☃.txt': bytes(5),
    [`${'long'.repeat(60)}.bin`]: bytes(3),
  };
  const own = { 'cmdline.txt': bytes(400), 'config.txt': bytes(1500) };
  const found = await readBack(imageOf(files, own));
  const expected = { ...files, ...own };
  assert.deepEqual([...found.keys()].sort(), Object.keys(expected).sort());
  for (const [name, content] of Object.entries(expected)) assert.ok(found.get(name)?.equals(content), name);
});

test('hundreds of names that are alike stay apart', { skip }, async () => {
  const files = Object.fromEntries(
    Array.from({ length: 400 }, (_, index) => [`overlays/i2c-rtc-gpio-${index}.dtbo`, bytes(600, index)]),
  );
  const found = await readBack(imageOf(files, { 'config.txt': Buffer.alloc(0) }));
  assert.equal(found.size, 401);
  for (const [name, content] of Object.entries(files)) assert.ok(found.get(name)?.equals(content), name);
});

test('any tree can be read back', { skip, timeout: 60_000 }, async () => {
  const name = fc.stringMatching(/^[a-zA-Z0-9_+~-]{1,14}(\.[a-z0-9]{1,5})?$/);
  const tree = fc.uniqueArray(
    fc.record({ folders: fc.array(name, { maxLength: 2 }), file: name, size: fc.nat(3000) }),
    { maxLength: 25, selector: ({ folders, file }) => [...folders, file].join('/').toLowerCase() },
  );
  await fc.assert(
    fc.asyncProperty(tree, fc.nat(2000), async (entries, ownSize) => {
      const files = Object.fromEntries(
        entries.map(({ folders, file, size }, index) => [
          [...folders.map((each) => `d${each.toLowerCase()}`), `f${file}`].join('/'),
          bytes(size, index),
        ]),
      );
      const own = { 'config.txt': bytes(ownSize) };
      const found = await readBack(imageOf(files, own));
      for (const [at, content] of Object.entries({ ...files, ...own }))
        assert.ok(found.get(at)?.equals(content), at);
      assert.equal(found.size, Object.keys(files).length + 1);
    }),
    { numRuns: 12 },
  );
});

test('the tail alone tells two images apart whose own files take as much place', () => {
  const files = { 'kernel8.img': bytes(5000) };
  const [one, other] = [Buffer.from('a'.repeat(500)), Buffer.from('b'.repeat(20))].map((content) =>
    imageOf(files, { 'config.txt': content }),
  ) as [Buffer, Buffer];
  assert.equal(one.length, other.length);
  const first = one.findIndex((byte, index) => byte !== other[index]);
  assert.ok(first >= one.length - 1024, `they differ from ${first} of ${one.length} on`);
});

test('short names are unique, and as they are where that is one already', () => {
  const names = [
    'KERNEL.IMG',
    'start4.elf',
    'bcm2711-rpi-4-b.dtb',
    'bcm2711-rpi-400.dtb',
    'a.b.c',
    '.hidden',
    'UPPER',
  ];
  const short = shortNames(names);
  assert.deepEqual(
    [...short.values()].map((name) => name.length),
    names.map(() => 11),
  );
  assert.equal(new Set(short.values()).size, names.length);
  assert.equal(short.get('KERNEL.IMG'), 'KERNEL  IMG');
  assert.equal(short.get('start4.elf'), 'START4  ELF');
  assert.equal(short.get('bcm2711-rpi-4-b.dtb'), 'BCM271~1DTB');
  assert.deepEqual(longNameEntries('UPPER', short.get('UPPER') as string), []);
  assert.equal(longNameEntries('start4.elf', short.get('start4.elf') as string).length, 1);
});

const unfit = ['a:b', 'a\\b', 'a*', 'a?', 'a"b', 'a<b', 'a|b', 'a\x01b', 'a.', 'a ', 'x'.repeat(256)];
for (const name of unfit)
  test(`${JSON.stringify(name.slice(0, 20))} is refused`, () =>
    assert.throws(() => shortNames([name]), UnfitForFat));
test('two names that differ in case alone are refused', () =>
  assert.throws(() => shortNames(['Config.txt', 'config.txt']), UnfitForFat));
test('so is more than such a file system can hold', () =>
  assert.throws(
    () =>
      layoutHead(new Map([['x', 2 ** 41]]), new Map([['y', 1]]), {
        volumeId: 1,
        stamp: stampOf(new Date(0)),
      }),
    UnfitForFat,
  ));
