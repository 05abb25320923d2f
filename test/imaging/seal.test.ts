import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { readGenerations } from '../../src/imaging/generations.ts';
import { readRecipeFolder } from '../../src/imaging/recipe-folder.ts';
import { type SealOrder, seal } from '../../src/imaging/seal.ts';

const { recipe } = await readRecipeFolder(new URL('../../images', import.meta.url).pathname, 'web');

async function builtFiles(t: TestContext): Promise<SealOrder> {
  const top = await mkdtemp(join(tmpdir(), 'netboot-seal-'));
  t.after(() => rm(top, { recursive: true }));
  const [workFolder, generationsFolder, logFile] = [
    join(top, 'work'),
    join(top, 'generations'),
    join(top, 'web.log'),
  ];
  await mkdir(join(workFolder, 'boot/overlays'), { recursive: true });
  await mkdir(generationsFolder);
  await writeFile(join(workFolder, 'root.squashfs'), 'root', { mode: 0o600 });
  await writeFile(join(workFolder, 'boot/kernel8.img'), 'kernel', { mode: 0o600 });
  await writeFile(join(workFolder, 'boot/overlays/README'), 'read me');
  await writeFile(join(workFolder, 'packages.txt'), 'nginx 1.26.3-3\nzstd 1.5.7\n');
  await writeFile(logFile, 'all went well\n');
  const now = () => new Date('2026-11-21T10:00:00Z');
  return { image: 'web', recipe, recipeKey: 'a'.repeat(64), workFolder, generationsFolder, logFile, now };
}

describe('seal', () => {
  it('makes a generation that is read back as it was given', async (t) => {
    const order = await builtFiles(t);
    const sealed = await seal(order);
    assert.match(sealed.id, /^web-[0-9a-f]{12}$/);
    assert.deepEqual(sealed.packages, { nginx: '1.26.3-3', zstd: '1.5.7' });
    assert.deepEqual(Object.keys(sealed.boot.files), ['kernel8.img', 'overlays/README']);
    assert.equal(sealed.boot.files['kernel8.img']?.size, 6);
    assert.deepEqual(await readGenerations(order.generationsFolder), { generations: [sealed], problems: [] });
    assert.equal(await readFile(join(sealed.folder, 'build.log'), 'utf8'), 'all went well\n');
  });

  it('leaves everything readable for servers that are not root (checklist 54)', async (t) => {
    const { folder } = await seal(await builtFiles(t));
    for (const path of ['root.squashfs', 'manifest.json', 'build.log', 'boot/kernel8.img']) {
      assert.equal((await stat(join(folder, path))).mode & 0o777, 0o644, path);
    }
    for (const path of ['.', 'boot', 'boot/overlays']) {
      assert.equal((await stat(join(folder, path))).mode & 0o777, 0o755, path);
    }
  });

  it('gives other content another id', async (t) => {
    const [first, second] = [await builtFiles(t), await builtFiles(t)];
    await writeFile(join(second.workFolder, 'boot/kernel8.img'), 'Kernel');
    assert.notEqual((await seal(first)).id, (await seal(second)).id);
  });

  it('keeps the generation that is there when the same content comes again', async (t) => {
    const [first, again] = [await builtFiles(t), await builtFiles(t)];
    const sealed = await seal(first);
    const { folder } = await seal({ ...again, generationsFolder: first.generationsFolder });
    assert.equal(folder, sealed.folder);
    assert.deepEqual(await readdir(first.generationsFolder), [sealed.id]);
  });

  for (const missing of ['root.squashfs', 'boot', 'packages.txt']) {
    it(`leaves nothing behind when ${missing} is missing`, async (t) => {
      const order = await builtFiles(t);
      await rm(join(order.workFolder, missing), { recursive: true });
      await assert.rejects(seal(order));
      assert.deepEqual(await readdir(order.generationsFolder), []);
    });
  }

  it('clears away what a build killed while sealing left', async (t) => {
    const order = await builtFiles(t);
    await mkdir(join(order.generationsFolder, '.sealing/boot'), { recursive: true });
    const { id, folder } = await seal(order);
    assert.deepEqual(await readdir(order.generationsFolder), [id]);
    assert.deepEqual((await readdir(folder)).toSorted(), [
      'boot',
      'build.log',
      'manifest.json',
      'root.squashfs',
    ]);
  });

  it('leaves nothing behind when it fails half-way', async (t) => {
    const order = await builtFiles(t);
    await rm(order.logFile);
    await assert.rejects(seal(order), /ENOENT/);
    assert.deepEqual(await readdir(order.generationsFolder), []);
  });
});
