import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { run } from '../../../src/host/run.ts';
import { commitEntry } from '../../../src/imaging/cache/entries.ts';
import { collectGarbage } from '../../../src/imaging/cache/gc.ts';
import { skip, workshop } from '../workshop.ts';

const MIB = 2 ** 20;

/** A cache with entries of a MiB each, made in the order given, used an hour apart in the order of `used`. */
async function cacheOf(t: TestContext, entries: readonly { key: string; parent?: string; used: number }[]) {
  const cache = await mkdtemp(join(tmpdir(), 'netboot-gc-'));
  t.after(() => rm(cache, { recursive: true }));
  for (const { key, parent, used } of entries) {
    const stage = join(cache, 'work', key);
    await mkdir(join(stage, 'content'), { recursive: true });
    await writeFile(join(stage, 'content/file'), Buffer.alloc(MIB, key));
    const facts = { key, step: key, name: key, seconds: 0, at: '', ...(parent ? { parent } : {}) };
    await commitEntry(cache, run, { kind: 'layer', facts, content: join(stage, 'content'), log: [], stage });
    await utimes(join(cache, 'layers', key, 'layer.json'), used * 3600, used * 3600);
  }
  const collect = async (limit: number, keep: string[] = []) => {
    const collected = await collectGarbage(cache, {
      limit,
      keep: new Set(keep),
      trash: join(cache, 'work/trash'),
    });
    return { collected, left: (await readdir(join(cache, 'layers'))).toSorted() };
  };
  return { cache, collect };
}

describe('collectGarbage', () => {
  it('takes what was used longest ago, until the rest is within the limit', async (t) => {
    const { collect } = await cacheOf(t, [
      { key: 'a', used: 3 },
      { key: 'b', used: 1 },
      { key: 'c', used: 2 },
    ]);
    assert.deepEqual((await collect(4 * MIB)).left, ['a', 'b', 'c'], 'enough room');
    assert.deepEqual((await collect(2.5 * MIB)).left, ['a', 'c']);
    const { collected, left } = await collect(0);
    assert.deepEqual(left, []);
    assert.equal(collected.bytes, 0);
  });

  it('takes no layer before those on it', async (t) => {
    const { collect } = await cacheOf(t, [
      { key: 'a', used: 1 },
      { key: 'b', parent: 'a', used: 2 },
      { key: 'c', parent: 'b', used: 9 },
    ]);
    assert.deepEqual((await collect(2.5 * MIB)).left, ['a', 'b'], 'although the child is the newest');
  });

  it('keeps what a build stands on', async (t) => {
    const { collect } = await cacheOf(t, [
      { key: 'a', used: 1 },
      { key: 'b', parent: 'a', used: 2 },
      { key: 'c', used: 3 },
    ]);
    assert.deepEqual((await collect(0, ['a', 'b'])).left, ['a', 'b']);
  });

  it('takes downloads as well', async (t) => {
    const { cache, collect } = await cacheOf(t, [{ key: 'a', used: 5 }]);
    await mkdir(join(cache, 'downloads'));
    for (const [name, used] of [
      ['d1', 4],
      ['d2', 6],
    ] as const) {
      await writeFile(join(cache, 'downloads', `${name}.deb`), Buffer.alloc(MIB, 1));
      await utimes(join(cache, 'downloads', `${name}.deb`), used * 3600, used * 3600);
    }
    await collect(2.5 * MIB);
    assert.deepEqual(await readdir(join(cache, 'downloads')), ['d2.deb']);
  });

  it('runs after a build, and leaves what that build stands on', { skip }, async (t) => {
    const made = await workshop(t, 'small');
    const sha256 = await made.addTarball('small');
    const base = `base: {tarball: root.tar.gz, sha256: ${sha256}, arch: amd64}\nboot: {initramfs: false}\n`;
    await made.write('small/image.yaml', base);
    await made.write('small/rootfs/etc/a', 'one');
    await made.build();
    await made.write('small/rootfs/etc/a', 'two');
    assert.deepEqual(await made.build({ cacheLimit: 1 }), ['small/files', 'small/clean', 'small/squash']);
    assert.equal((await readdir(join(made.order.cacheFolder, 'layers'))).length, 3);
    assert.equal(await made.build(), 'unchanged');
  });
});
