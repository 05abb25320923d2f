import assert from 'node:assert/strict';
import { it } from 'node:test';
import { plan, printPlan } from '../../../src/imaging/plan/plan.ts';
import { readRecipeChain } from '../../../src/imaging/recipe/read.ts';
import { skip, workshop } from '../workshop.ts';

const IMAGES = new URL('../../../images', import.meta.url).pathname;

it('plans the web image: the steps of its base, its own, and what becomes of the root', async () => {
  const chain = await readRecipeChain(IMAGES, 'web');
  const ids = plan(chain).map(({ id }) => id);
  for (const [first, second] of [
    ['base/bootstrap', 'base/packages'],
    ['base/packages', 'base/files'],
    ['base/files', 'base/units'],
    ['base/units', 'web/packages'],
    ['web/packages', 'web/files'],
    ['web/units', 'web/clean'],
    ['web/clean', 'web/initramfs'],
    ['web/initramfs', 'web/boot-tree'],
    ['web/boot-tree', 'web/loaders'],
    ['web/loaders', 'web/squash'],
  ] as const) {
    assert.ok(ids.includes(first) && ids.indexOf(first) < ids.indexOf(second), `${first} before ${second}`);
  }
  assert.equal(new Set(ids).size, ids.length);
  assert.equal(ids.at(-1), 'web/squash');
});

it('is the same for the same recipe, and says nothing of where that lies', async () => {
  const one = plan(await readRecipeChain(IMAGES, 'web'));
  const other = plan(await readRecipeChain(IMAGES, 'web'));
  assert.deepEqual(one, other);
  const { inputs: _, ...rest } = one[3] as (typeof one)[number];
  assert.ok(!JSON.stringify(rest).includes(IMAGES));
});

it('asks Debian once for what the whole chain is made of, and onto the root for the rest', async () => {
  const steps = plan(await readRecipeChain(IMAGES, 'web'));
  const requests = steps.flatMap(({ id, packages }) => (packages ? [[id, packages] as const] : []));
  assert.deepEqual(
    requests.map(([id, { onto, add, fetchOnly }]) => [id, onto, add.length > 0, fetchOnly]),
    [
      ['base/bootstrap', 'debian', false, []],
      ['base/packages', 'root', true, []],
      ['web/packages', 'root', true, []],
      ['web/loaders', 'debian', false, ['ipxe']],
    ],
  );
  assert.deepEqual(requests.find(([id]) => id === 'web/packages')?.[1].add, ['nginx']);
});

it('asks the mirror of the image whose step it is: a child with another one leaves its parent as it was', async (t) => {
  const made = await workshop(t, 'below');
  await made.write('below/image.yaml', 'base: {debian: trixie, arch: arm64}\npackages: [nano]\n');
  await made.write(
    'above/image.yaml',
    'base: {from: below}\nmirror: http://mirror.example/debian\npackages: [tree]\n',
  );
  const steps = plan(await readRecipeChain(made.order.recipesFolder, 'above'));
  const mirrors = steps.flatMap(({ id, packages }) => (packages ? [[id, packages.mirror] as const] : []));
  assert.deepEqual(mirrors, [
    ['below/bootstrap', undefined],
    ['below/packages', undefined],
    ['above/packages', 'http://mirror.example/debian'],
  ]);
});

it('gives each step of a recipe what it says, and nothing more', { skip }, async (t) => {
  const made = await workshop(t, 'own');
  const sha256 = await made.addTarball('own');
  await made.write(
    'own/image.yaml',
    `base: {tarball: root.tar.gz, sha256: ${sha256}, arch: amd64}
files: [{path: /etc/a, owner: www, mode: '0600', content: a}, {path: /home/ops/b, owner: ops, content: b}]
tmpfiles: {x: [D /var/log/x 0755 root adm]}
sysctl: {net.ipv4.ip_forward: 1, kernel.panic: 5}
fstab: [tmpfs /root tmpfs defaults 0 0]
users: [{name: ops, groups: [www, adm], shell: /bin/sh}]
units: {default: y.target, mask: [b.service, a.service], wants: {y.target: [c.service]}, targets: {y: {after: [d.service], isolate: true}}, dropins: {c.service: {own: "[Service]\\nNice=1\\n"}}}
boot: {initramfs: false}
`,
  );
  const steps = plan(await readRecipeChain(made.order.recipesFolder, 'own'));
  const texts = (id: string) =>
    Object.fromEntries(
      (steps.find((step) => step.id === id)?.inputs ?? []).map(({ path, content }) => [
        path,
        content.kind === 'text' ? content.text : content.kind,
      ]),
    );
  assert.deepEqual(texts('own/files'), {
    'rootfs/etc/tmpfiles.d/x.conf': 'D /var/log/x 0755 root adm\n',
    'rootfs/etc/sysctl.d/90-own.conf': 'kernel.panic = 5\nnet.ipv4.ip_forward = 1\n',
    'rootfs/etc/a': 'a',
    'rootfs/home/ops/b': 'b',
    owners: 'www root 600 file /etc/a\n',
    fstab: 'tmpfs /root tmpfs defaults 0 0\n',
  });
  // A file can only be given to a user who is there.
  assert.deepEqual(texts('own/users'), {
    users: 'ops - adm,www /bin/sh -\n',
    owners: 'ops root 644 file /home/ops/b\n',
  });
  assert.deepEqual(texts('own/units'), {
    'rootfs/etc/systemd/system/y.target': '[Unit]\nDescription=y\nAfter=d.service\nAllowIsolate=yes\n',
    'rootfs/etc/systemd/system/c.service.d/own.conf': '[Service]\nNice=1\n',
    wants: 'y.target c.service\n',
  });
  assert.deepEqual(steps.find(({ id }) => id === 'own/units')?.variables, {
    DEFAULT: 'y.target',
    ENABLE: '',
    DISABLE: '',
    MASK: 'a.service b.service',
  });
  const printed = printPlan(steps.slice(0, 2), [
    { kind: 'cached' },
    { kind: 'runs after', id: 'own/import' },
  ]);
  assert.equal(
    printed,
    ' 1. own/import  unpack root.tar.gz  [cached]\n 2. own/files   lay 4 files over the root  [runs after own/import]',
  );
});
