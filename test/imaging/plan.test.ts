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
      ' 3. copy rootfs/  [overlay]',
      ' 4. run hooks/10-nfs-root.sh  [hook HOOK="10-nfs-root.sh"]',
      ' 5. run hooks/20-web.sh  [hook HOOK="20-web.sh"]',
      ' 6. clean  [clean]',
      ' 7. make the initramfs  [initramfs]',
      ' 8. collect the boot tree  [boot-tree]',
      ' 9. squash the root  [squash]',
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
