import assert from 'node:assert/strict';
import {
  appendFile,
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { run } from '../../../src/host/run.ts';
import { deleteGenerations } from '../../../src/imaging/generation/delete.ts';
import { readGenerations } from '../../../src/imaging/generation/generations.ts';
import { protect } from '../../../src/imaging/generation/immutable.ts';
import { checkGeneration } from '../../../src/imaging/generation/verify.ts';
import type { StoredGeneration } from '../../../src/model/generation.ts';
import { sealGeneration } from '../../rack/sealed.ts';

describe('sealed generations', () => {
  let folder: string;
  let ids: string[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'netboot-delete-'));
    ids = [await sealGeneration(folder, 'web'), await sealGeneration(folder, 'db')];
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('are deleted although they are protected, and no others', async () => {
    const [web, db] = ids as [string, string];
    await chmod(join(folder, web, 'boot'), 0o555);
    await protect(run, join(folder, web));
    assert.deepEqual(await deleteGenerations(run, folder, [web]), [web]);
    assert.deepEqual(await readdir(folder), [db]);
  });

  it('are finished with by the next one, when somebody was cut short', async () => {
    const [web, db] = ids as [string, string];
    await rename(join(folder, web), join(folder, `.deleting.${web}`));
    await rm(join(folder, `.deleting.${web}`, 'manifest.json'));
    assert.deepEqual(
      (await readGenerations(folder)).generations.map(({ id }) => id),
      [db],
    );
    assert.deepEqual(await deleteGenerations(run, folder, []), [web]);
    assert.deepEqual(await readdir(folder), [db]);
  });

  it('are named by their ids alone', async () => {
    await mkdir(join(folder, 'other'));
    for (const name of ['../x', 'other', '', '.'])
      await assert.rejects(deleteGenerations(run, folder, [name]));
    assert.equal((await readdir(folder)).length, 3);
    assert.deepEqual(await deleteGenerations(run, folder, ['web-000000000000']), ['web-000000000000']);
  });

  it('are compared with what was sealed', async () => {
    const { generations } = await readGenerations(folder);
    const web = generations.find(({ image }) => image === 'web') as StoredGeneration;
    const faults = async (depth: 'sizes' | 'boot tree' | 'all') => (await checkGeneration(web, depth)).faults;
    assert.deepEqual(await faults('all'), []);

    const dtb = join(web.folder, 'boot/bcm2711-rpi-4-b.dtb');
    const bytes = await readFile(dtb);
    await writeFile(dtb, Buffer.from(bytes).fill(0, 0, 1));
    assert.deepEqual(await faults('sizes'), []);
    assert.deepEqual(await faults('boot tree'), [
      'boot/bcm2711-rpi-4-b.dtb has other bytes than were sealed',
    ]);
    await writeFile(dtb, bytes);

    const root = join(web.folder, 'root.squashfs');
    const squashfs = await readFile(root);
    await writeFile(root, Buffer.from(squashfs).fill(0, 100, 101));
    assert.deepEqual(await faults('boot tree'), []);
    assert.deepEqual(await faults('all'), ['root.squashfs has other bytes than were sealed']);
    await appendFile(root, 'x');
    assert.match((await faults('sizes'))[0] ?? '', /^root\.squashfs has \d+ bytes, not \d+$/);
    await rm(root);
    assert.deepEqual(await faults('sizes'), ['root.squashfs is missing']);
    await rm(web.folder, { recursive: true });
    assert.equal((await checkGeneration(web, 'sizes')).isGone, true);
  });
});
