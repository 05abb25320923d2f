import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lintImages } from '../../../src/imaging/recipe/lint.ts';
import { DEBIAN, type Files, imagesFolder } from './folder.ts';

const warnings: readonly { given: string; files: Files; expect: string }[] = [
  {
    given: 'a file under a mount of the boot',
    files: { 'web/image.yaml': DEBIAN, 'web/rootfs/run/x': '' },
    expect: 'web/rootfs/run/x: nobody will see it',
  },
  {
    given: 'a file named there',
    files: { 'web/image.yaml': `${DEBIAN}files: [{path: /tmp/x/}]` },
    expect: 'web/image.yaml:2: files.0.path: nobody will see it',
  },
  {
    given: 'a file in the way of the merged /usr',
    files: { 'web/image.yaml': DEBIAN, 'web/rootfs/lib/udev/x': '' },
    expect: 'web/rootfs/lib/udev/x: /lib is a link to /usr/lib in Debian; write /usr/lib/udev/x',
  },
  {
    given: 'a host key',
    files: { 'web/image.yaml': DEBIAN, 'web/rootfs/etc/ssh/ssh_host_rsa_key': '' },
    expect: 'web/rootfs/etc/ssh/ssh_host_rsa_key: every node',
  },
  {
    given: 'what an editor left',
    files: { 'web/image.yaml': DEBIAN, 'web/rootfs/etc/motd~': '' },
    expect: 'web/rootfs/etc/motd~: looks like',
  },
  {
    given: 'a unit both enabled and masked',
    files: { 'web/image.yaml': `${DEBIAN}units:\n  enable: [a.service, b.service]\n  mask: [b.service]` },
    expect: 'web/image.yaml:3: units.enable.1: "b.service" is masked too',
  },
  {
    given: 'a unit that the parent masks',
    files: {
      'base/image.yaml': `${DEBIAN}units: {mask: [b.service]}`,
      'web/image.yaml': 'base: {from: base}\nunits: {wants: {x.target: [b.service]}}',
    },
    expect: 'web/image.yaml:2: units.wants.x.target.0: "b.service" is masked by base',
  },
  {
    given: 'a unit both enabled and disabled',
    files: { 'web/image.yaml': `${DEBIAN}units: {enable: [b.service], disable: [b.service]}` },
    expect: 'web/image.yaml:2: units.enable.0: "b.service" is disabled too',
  },
  {
    given: "a word that is the node's",
    files: { 'web/image.yaml': `${DEBIAN}boot: {cmdline: [quiet, root=/dev/sda1]}` },
    expect: 'web/image.yaml:2: boot.cmdline.1: "root=/dev/sda1" has no effect',
  },
  {
    given: "a line that is the node's",
    files: { 'web/image.yaml': `${DEBIAN}boot: {config: [kernel=x]}` },
    expect: 'web/image.yaml:2: boot.config.0: "kernel=x" has no effect',
  },
  {
    given: 'a role without its target',
    files: { 'web/image.yaml': `${DEBIAN}roles: {web: {target: web.target}}` },
    expect: 'web/image.yaml:2: roles.web.target: no recipe makes "web.target"',
  },
  {
    given: 'an fstab in the place of another',
    files: {
      'base/image.yaml': `${DEBIAN}fstab: [tmpfs /root tmpfs defaults 0 0]`,
      'web/image.yaml': 'base: {from: base}',
      'web/rootfs/etc/fstab': '',
    },
    expect: 'web/rootfs/etc/fstab: replaces the fstab lines of base',
  },
  {
    given: 'a folder that nobody reads',
    files: { 'web/image.yaml': DEBIAN, 'web/hook/10-a.sh': '#!/bin/sh\ntrue\n', 'web/.git/x': '' },
    expect: 'web/hook: is read by nobody; the folders are rootfs, templates, hooks, debs',
  },
  {
    given: 'an empty folder',
    files: { 'web/image.yaml': DEBIAN, 'web/rootfs/mnt/data/': '' },
    expect:
      'web/rootfs/mnt/data: is empty, and git keeps no empty folders; name it in the recipe: files: [{path: /mnt/data/}]',
  },
  {
    given: 'a hook that does nothing',
    files: { 'web/image.yaml': DEBIAN, 'web/hooks/10-a.sh': '#!/bin/sh\n# to do\nset -eu\n' },
    expect: 'web/hooks/10-a.sh: has no line that does anything',
  },
];

describe('lintImages', () => {
  for (const { given, files, expect } of warnings) {
    it(`warns of ${given}`, async () => {
      await using folder = await imagesFolder(files);
      const { findings } = await lintImages(folder.path);
      const [found, ...others] = findings;
      const { file, line, key, problem, severity } = found ?? assert.fail('it found nothing');
      const text = [line ? `${file}:${line}` : file, ...(key ? [key] : []), problem].join(': ');
      assert.ok(text.startsWith(`${folder.path}/${expect}`), text);
      assert.deepEqual([severity, others], ['warning', []]);
    });
  }

  it('finds nothing where a role is made, a folder is named, and a child only adds', async () => {
    await using folder = await imagesFolder({
      'base/image.yaml': `${DEBIAN}units: {targets: {web: {}}}\nfstab: [tmpfs /root tmpfs defaults 0 0]`,
      'web/image.yaml':
        'base: {from: base}\nroles: {web: {target: web.target}, plain: {target: multi-user.target}}\nfiles: [{path: /mnt/www/}]',
      'web/rootfs/etc/motd': '',
      'web/hooks/10-a.sh': '#!/bin/sh -eu\ntrue\n',
    });
    assert.deepEqual(await lintImages(folder.path), { images: ['base', 'web'], findings: [] });
  });

  it('goes on after a folder whose name can be none', async () => {
    await using folder = await imagesFolder({
      'My_Web/image.yaml': DEBIAN,
      'web/image.yaml': `${DEBIAN}zap: 1`,
    });
    const problems = (await lintImages(folder.path)).findings.map(({ problem }) => problem.slice(0, 26));
    assert.deepEqual(problems, ['this is no name for an ima', 'there is no such key; the ']);
  });

  it('tells the mistakes of all images, each once, though two build on where it is', async () => {
    await using folder = await imagesFolder({
      'base/image.yaml': `${DEBIAN}zap: 1\n`,
      'a/image.yaml': 'base: {from: base}\npackages: [A]\nfstab: [x]',
      'b/image.yaml': 'base: {from: base}\n',
      'b/hooks/10-a.sh': 'no shebang',
      'c/image.yaml': 'base: {from: nowhere}\n',
      'd/image.yaml': 'base: [\n',
    });
    const { findings } = await lintImages(folder.path);
    const places = findings.map(
      ({ file, line, severity }) => `${file.slice(folder.path.length)}:${line} ${severity}`,
    );
    assert.deepEqual(places, [
      '/a/image.yaml:2 mistake',
      '/a/image.yaml:3 mistake',
      '/b/hooks/10-a.sh:1 mistake',
      '/base/image.yaml:2 mistake',
      '/c/image.yaml:1 mistake',
      '/d/image.yaml:2 mistake',
    ]);
    assert.equal((await lintImages(folder.path, 'a')).findings.length, 3);
  });
});
