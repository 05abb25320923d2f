import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { diffGenerations } from '../../../src/imaging/generation/diff.ts';
import { type ListedFile, packListing, unpackListing } from '../../../src/imaging/generation/listing.ts';
import { type Generation, generationSchema } from '../../../src/model/generation.ts';

const sha = (letter: string) => letter.repeat(64);

const BASE: Generation = generationSchema.parse({
  id: 'web-0123456789ab',
  image: 'web',
  arch: 'arm64',
  sealedAt: '2026-11-21T10:00:00.000Z',
  recipeKey: sha('a'),
  root: { size: 100, sha256: sha('b') },
  boot: {
    kernel: 'kernel8.img',
    config: ['arm_64bit=1', 'enable_uart=1'],
    cmdline: ['console=tty1'],
    files: { 'kernel8.img': { size: 9, sha256: sha('c') }, 'fixup.dat': { size: 2, sha256: sha('d') } },
  },
  roles: { web: { target: 'web.target' } },
  packages: { nginx: '1.26.3-3', zstd: '1.5.7' },
  contains: sha('e'),
  origin: { by: 'a@b', seconds: 1, chain: [{ image: 'web', recipe: sha('f') }], variables: { port: 80 } },
});

const file = (path: string, change: Partial<ListedFile> = {}): ListedFile => ({
  path,
  type: 'f',
  mode: '644',
  uid: 0,
  gid: 0,
  size: 1,
  sha256: sha('1'),
  ...change,
});

const EMPTY = { added: [], removed: [], changed: [] };

describe('diffGenerations', () => {
  it('finds nothing between a generation and itself', () => {
    const files = [file('etc/hosts')];
    const diff = diffGenerations({ generation: BASE, files }, { generation: BASE, files });
    assert.deepEqual(diff, {
      from: BASE.id,
      to: BASE.id,
      isSameContent: true,
      sizes: { root: { from: 100, to: 100 }, boot: { from: 11, to: 11 } },
      packages: EMPTY,
      files: EMPTY,
      boot: EMPTY,
      settings: [],
    });
  });

  it('tells packages, the boot tree and sizes', () => {
    const to: Generation = {
      ...BASE,
      id: 'web-ba9876543210',
      contains: sha('9'),
      root: { size: 250, sha256: sha('2') },
      packages: { nginx: '1.28.0-1', curl: '8.1' },
      boot: {
        ...BASE.boot,
        files: { 'kernel8.img': { size: 7, sha256: sha('3') }, initramfs8: { size: 30, sha256: sha('4') } },
      },
    };
    const diff = diffGenerations({ generation: BASE }, { generation: to });
    assert.equal(diff.isSameContent, false);
    assert.deepEqual(diff.packages, {
      added: [{ name: 'curl', version: '8.1' }],
      removed: [{ name: 'zstd', version: '1.5.7' }],
      changed: [{ name: 'nginx', from: '1.26.3-3', to: '1.28.0-1' }],
    });
    assert.deepEqual(diff.boot, {
      added: [{ path: 'initramfs8', size: 30 }],
      removed: [{ path: 'fixup.dat', size: 2 }],
      changed: [{ path: 'kernel8.img', from: 9, to: 7 }],
    });
    assert.deepEqual(diff.sizes, { root: { from: 100, to: 250 }, boot: { from: 11, to: 37 } });
    assert.equal(diff.files, undefined, 'nobody listed them');
  });

  const settings: ReadonlyArray<{ given: string; change: (to: Generation) => unknown; expect: unknown }> = [
    {
      given: 'a word of the command line',
      change: (to) => to.boot.cmdline.push('quiet'),
      expect: [{ key: 'cmdline.txt', to: 'quiet' }],
    },
    {
      given: 'a line of config.txt that went and one that came',
      change: (to) => to.boot.config.splice(0, 1, 'gpu_mem=16'),
      expect: [
        { key: 'config.txt', from: 'arm_64bit=1' },
        { key: 'config.txt', to: 'gpu_mem=16' },
      ],
    },
    {
      given: 'lines in another order, which config.txt may mean',
      change: (to) => to.boot.config.reverse(),
      expect: [
        {
          key: 'config.txt (order)',
          from: 'arm_64bit=1 enable_uart=1',
          to: 'enable_uart=1 arm_64bit=1',
        },
      ],
    },
    {
      given: 'a variable',
      change: (to) => Object.assign(to.origin ?? {}, { variables: { port: 8080, name: 'x' } }),
      expect: [
        { key: 'variable port', from: '80', to: '8080' },
        { key: 'variable name', to: 'x' },
      ],
    },
    {
      given: 'a role that went',
      change: (to) => Object.assign(to, { roles: {} }),
      expect: [{ key: 'role web', from: 'web.target' }],
    },
    {
      given: 'another recipe',
      change: (to) => Object.assign(to.origin?.chain[0] ?? {}, { recipe: sha('0') }),
      expect: [{ key: 'recipe web', from: 'ffffffffffff', to: '000000000000' }],
    },
    {
      given: 'an initramfs',
      change: (to) => Object.assign(to.boot, { initramfs: 'initramfs8' }),
      expect: [{ key: 'initramfs', to: 'initramfs8' }],
    },
  ];
  for (const { given, change, expect } of settings) {
    it(`tells ${given}`, () => {
      const to = structuredClone(BASE);
      change(to);
      assert.deepEqual(diffGenerations({ generation: BASE }, { generation: to }).settings, expect);
    });
  }

  const changes: ReadonlyArray<{ what: string; from: ListedFile; to: ListedFile }> = [
    { what: 'content', from: file('a'), to: file('a', { sha256: sha('2') }) },
    { what: 'mode', from: file('a'), to: file('a', { mode: '4755' }) },
    { what: 'owner', from: file('a'), to: file('a', { gid: 33 }) },
    { what: 'type', from: file('a'), to: { path: 'a', type: 'd', mode: '755', uid: 0, gid: 0 } },
    {
      what: 'target',
      from: { path: 'a', type: 'l', mode: '777', uid: 0, gid: 0, target: 'b' },
      to: { path: 'a', type: 'l', mode: '777', uid: 0, gid: 0, target: 'c' },
    },
  ];
  for (const { what, from, to } of changes) {
    it(`tells that the ${what} of a file is another`, () => {
      const { files } = diffGenerations(
        { generation: BASE, files: [from] },
        { generation: BASE, files: [to] },
      );
      assert.deepEqual(files, { ...EMPTY, changed: [{ path: 'a', what: [what], from, to }] });
    });
  }

  it('accounts for every file of both sides once, whatever they are', () => {
    const listing = fc
      .dictionary(fc.string({ minLength: 1, maxLength: 3 }), fc.constantFrom('1', '2'), { maxKeys: 20 })
      .map((found) => Object.entries(found).map(([path, letter]) => file(path, { sha256: sha(letter) })));
    fc.assert(
      fc.property(listing, listing, (a, b) => {
        const { files } = diffGenerations({ generation: BASE, files: a }, { generation: BASE, files: b });
        assert.ok(files);
        const after = new Map(a.map((each) => [each.path, each]));
        for (const { path } of files.removed) assert.ok(after.delete(path));
        for (const each of files.added) after.set(each.path, each);
        for (const { path, to } of files.changed) after.set(path, to);
        assert.deepEqual([...after.values()].sort(byPath), [...b].sort(byPath));
        assert.deepEqual(unpackListing(packListing(b)), b);
      }),
    );
  });
});

const byPath = (a: ListedFile, b: ListedFile) => (a.path < b.path ? -1 : 1);
