import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readGenerations } from '../../../src/imaging/generation/generations.ts';

const GOOD = {
  id: 'web-0123456789ab',
  image: 'web',
  arch: 'arm64',
  sealedAt: '2026-11-21T10:00:00.000Z',
  recipeKey: 'a'.repeat(64),
  root: { size: 4, sha256: 'b'.repeat(64) },
  boot: { kernel: 'kernel8.img', config: [], cmdline: [], files: {} },
  roles: { web: { target: 'web-cluster-node.target' } },
  packages: { nginx: '1.26.3-3' },
};

const broken: readonly { given: string; manifest?: string; root?: string; expect: RegExp }[] = [
  { given: 'no manifest', root: 'root', expect: /manifest\.json cannot be read \(ENOENT/ },
  {
    given: 'a manifest cut short',
    manifest: '{"id":',
    root: 'root',
    expect: /manifest\.json cannot be read/,
  },
  {
    given: 'a manifest with a wrong value',
    manifest: JSON.stringify({ ...GOOD, arch: 'mips' }),
    root: 'root',
    expect: /manifest\.json is wrong at arch/,
  },
  {
    given: 'a boot path that leaves the tree',
    manifest: JSON.stringify({ ...GOOD, boot: { ...GOOD.boot, kernel: '../kernel' } }),
    root: 'root',
    expect: /manifest\.json is wrong at boot\.kernel/,
  },
  { given: 'no root', manifest: JSON.stringify(GOOD), expect: /root\.squashfs is missing/ },
  {
    given: 'a root cut short',
    manifest: JSON.stringify(GOOD),
    root: 'ro',
    expect: /root\.squashfs has 2 bytes, not 4/,
  },
  {
    given: "another generation's manifest",
    manifest: JSON.stringify({ ...GOOD, id: 'web-ba9876543210' }),
    root: 'root',
    expect: /its manifest says it is web-ba9876543210/,
  },
];

async function store(folder: string, name: string, manifest?: string, root?: string) {
  await mkdir(join(folder, name));
  if (manifest !== undefined) await writeFile(join(folder, name, 'manifest.json'), manifest);
  if (root !== undefined) await writeFile(join(folder, name, 'root.squashfs'), root);
}

describe('readGenerations', () => {
  for (const { given, manifest, root, expect } of broken) {
    it(`leaves out ${given} and says why`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'netboot-generations-'));
      t.after(() => rm(folder, { recursive: true }));
      await store(folder, GOOD.id, manifest, root);
      await store(folder, 'web-ffffffffffff', JSON.stringify({ ...GOOD, id: 'web-ffffffffffff' }), 'root');
      const { generations, problems } = await readGenerations(folder);
      assert.deepEqual(
        generations.map(({ id }) => id),
        ['web-ffffffffffff'],
      );
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? '', expect);
    });
  }

  it('gives the oldest first and passes over what is being sealed', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'netboot-generations-'));
    t.after(() => rm(folder, { recursive: true }));
    const older = { ...GOOD, id: 'web-ffffffffffff', sealedAt: '2026-11-20T10:00:00.000Z' };
    await store(folder, GOOD.id, JSON.stringify(GOOD), 'root');
    await store(folder, older.id, JSON.stringify(older), 'root');
    await store(folder, '.sealing', '{', 'root');
    const { generations, problems } = await readGenerations(folder);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      generations.map(({ id, folder }) => [id, folder]),
      [
        [older.id, join(folder, older.id)],
        [GOOD.id, join(folder, GOOD.id)],
      ],
    );
  });

  it('reads what was sealed before manifests told their origin, and what a newer netboot tells', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'netboot-generations-'));
    t.after(() => rm(folder, { recursive: true }));
    const old =
      '{"id":"web-51f4b74f4b89","image":"web","arch":"arm64","sealedAt":"2026-11-21T20:43:40.048Z",' +
      '"recipeKey":"ed7e934c2be674eb82b22605f14924b1ad931fc2a1ea1e63b0530b300fbf7adf",' +
      '"root":{"size":4,"sha256":"4fc5fe8a6f50c3e3c28cdafa7d3fe4766cf78c3d8d0cf74e9df86402c459d218"},' +
      '"boot":{"kernel":"kernel8.img","initramfs":"initramfs8","config":["arm_64bit=1"],"cmdline":["console=tty1"],' +
      '"files":{"bootcode.bin":{"size":52476,"sha256":"9df86402c459d2184fc5fe8a6f50c3e3c28cdafa7d3fe4766cf78c3d8d0cf74e"}}},' +
      '"roles":{"web":{"target":"web-cluster-node.target"}},"packages":{"nginx":"1.26.3-3+deb13u1"}}';
    await store(folder, 'web-51f4b74f4b89', old, 'root');
    await store(folder, GOOD.id, JSON.stringify({ ...GOOD, signedWith: 'a key' }), 'root');
    const { generations, problems } = await readGenerations(folder);
    assert.deepEqual(problems, []);
    const read = generations.find(({ id }) => id === 'web-51f4b74f4b89');
    assert.deepEqual(read, { ...JSON.parse(old), folder: join(folder, 'web-51f4b74f4b89') });
  });

  it('finds none where there is no folder', async () => {
    assert.deepEqual(await readGenerations('/nonexistent/generations'), { generations: [], problems: [] });
  });
});
