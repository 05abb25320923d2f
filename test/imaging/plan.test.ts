import assert from 'node:assert/strict';
import { it } from 'node:test';
import { plan, printPlan } from '../../src/imaging/plan.ts';
import { readRecipeFolder } from '../../src/imaging/recipe-folder.ts';

it('plans the web image', async () => {
  const { recipe, hooks } = await readRecipeFolder(new URL('../../images', import.meta.url).pathname, 'web');
  assert.equal(
    printPlan(plan(recipe, hooks)),
    [
      ' 1. bootstrap Debian trixie arm64  [bootstrap SUITE="trixie" ARCH="arm64" COMPONENTS="main non-free-firmware"]',
      ` 2. upgrade and install ${recipe.packages.length} packages  [install ARCH="arm64" PACKAGES="${recipe.packages.join(' ')}"]`,
      ' 3. fetch ipxe  [loaders ARCH="arm64" LOADERS="ipxe"]',
      ' 4. copy rootfs/  [overlay]',
      ' 5. run hooks/10-nfs-root.sh  [hook HOOK="10-nfs-root.sh"]',
      ' 6. run hooks/20-web.sh  [hook HOOK="20-web.sh"]',
      ' 7. clean  [clean]',
      ' 8. make the initramfs  [initramfs]',
      ' 9. collect the boot tree  [boot-tree]',
      '10. squash the root  [squash]',
    ].join('\n'),
  );
});

it('runs hooks in the order of their names', async () => {
  const { recipe } = await readRecipeFolder(new URL('../../images', import.meta.url).pathname, 'web');
  const hooks = plan(recipe, ['20-b.sh', '10-c.sh', '15-a.sh']).flatMap(
    ({ variables }) => variables.HOOK ?? [],
  );
  assert.deepEqual(hooks, ['10-c.sh', '15-a.sh', '20-b.sh']);
});

it('collects another boot tree for PCs, and fetches no loader where none is named', async () => {
  const { recipe, hooks } = await readRecipeFolder(new URL('../../images', import.meta.url).pathname, 'pc');
  const scripts = (of: typeof recipe) => plan(of, hooks).map(({ script }) => script);
  const common = ['overlay', 'hook', 'clean', 'initramfs', 'boot-tree-pc', 'squash'];
  assert.deepEqual(scripts(recipe), ['bootstrap', 'install', 'loaders', ...common]);
  const bare = { ...recipe, boot: { ...recipe.boot, loaders: [] } };
  assert.deepEqual(scripts(bare), ['bootstrap', 'install', ...common]);
});
