import assert from 'node:assert/strict';
import { chmod, cp, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { readRecipeFolder } from '../../src/imaging/recipe-folder.ts';
import { recipeKey } from '../../src/imaging/recipe-key.ts';
import { Refusal } from '../../src/model/command.ts';

const IMAGES = new URL('../../images', import.meta.url).pathname;

async function copyOfWeb(t: TestContext) {
  const images = await mkdtemp(join(tmpdir(), 'netboot-recipe-'));
  t.after(() => rm(images, { recursive: true }));
  await cp(join(IMAGES, 'web'), join(images, 'web'), { recursive: true });
  const key = async () => recipeKey(await readRecipeFolder(images, 'web'));
  return { images, folder: join(images, 'web'), key };
}

const changes: readonly { given: string; change: (folder: string) => Promise<void>; same?: true }[] = [
  { given: 'content', change: (folder) => writeFile(join(folder, 'rootfs/etc/fstab'), 'none\n') },
  { given: 'the executable bit', change: (folder) => chmod(join(folder, 'rootfs/etc/fstab'), 0o755) },
  {
    given: 'a name',
    change: (folder) => rename(join(folder, 'hooks/20-web.sh'), join(folder, 'hooks/30-web.sh')),
  },
  { given: 'a new link', change: (folder) => symlink('/run/x', join(folder, 'rootfs/etc/x')) },
  { given: 'only a umask', same: true, change: (folder) => chmod(join(folder, 'rootfs/etc/fstab'), 0o600) },
];

describe('recipeKey', () => {
  it('is the same for the same recipe wherever it lies', async (t) => {
    const { key } = await copyOfWeb(t);
    assert.equal(await key(), await recipeKey(await readRecipeFolder(IMAGES, 'web')));
  });

  for (const { given, change, same } of changes) {
    it(`${same ? 'stays' : 'changes'} with ${given}`, async (t) => {
      const { folder, key } = await copyOfWeb(t);
      const before = await key();
      await change(folder);
      assert.equal((await key()) === before, same === true);
    });
  }
});

describe('readRecipeFolder', () => {
  it('names the images there are when asked for another', async () => {
    await assert.rejects(readRecipeFolder(IMAGES, 'wbe'), (error: Error) => {
      assert.ok(error instanceof Refusal);
      assert.match(error.message, /^There is no image "wbe" .*There are: .*web/);
      return true;
    });
  });

  it('refuses a path for a name', async () => {
    await assert.rejects(readRecipeFolder(IMAGES, '../images/web'), Refusal);
  });

  it('refuses a hook without a place in the order', async (t) => {
    const { images, folder } = await copyOfWeb(t);
    await writeFile(join(folder, 'hooks/web.sh'), '');
    await assert.rejects(
      readRecipeFolder(images, 'web'),
      /hooks\/web\.sh has no place in the order\. Name it like/,
    );
  });
});
