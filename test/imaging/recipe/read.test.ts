import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { baseOf, canonical, readRecipeChain, settingsOf } from '../../../src/imaging/recipe/read.ts';
import { DEBIAN, type Files, imagesFolder } from './folder.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ops@desk';

/** Uses every key of the format. */
const FULL = {
  description: 'a node of a web cluster',
  base: { from: 'base' },
  mirror: 'http://debian.test/debian',
  variables: { title: { type: 'string', default: 'a: "b"', description: 'of the page' } },
  set: { port: 80 },
  packages: {
    add: ['nginx', 'curl [arm64]', 'grub-efi [amd64]'],
    remove: ['nano'],
    local: ['debs/*.deb'],
    upgrade: true,
  },
  files: [
    { path: '/etc/motd', content: '{{ title }}\n', group: 'adm', mode: '0640' },
    { path: '/usr/bin/tool', owner: 'ops' },
    { path: '/mnt/www/' },
  ],
  units: {
    default: 'web-cluster-node.target',
    enable: ['ssh.service'],
    disable: ['nginx.service'],
    mask: ['apt-daily.timer'],
    wants: { 'web-cluster-node.target': ['nginx.service'] },
    dropins: { 'nginx.service': { port: '[Service]\nEnvironment=PORT={{ port }}\n' } },
    targets: { 'web-cluster-node': { description: 'Web', requires: ['multi-user.target'], isolate: true } },
  },
  tmpfiles: { nginx: ['D /var/log/nginx 0755 root adm'] },
  fstab: ['tmpfs /var/lib/nginx tmpfs noauto,defaults,mode=755 0 0'],
  sysctl: { 'net.ipv4.ip_forward': 1, 'net.core.somaxconn': '{{ port }}' },
  users: [{ name: 'ops', uid: 1000, groups: ['sudo'], shell: '/bin/bash', keys: [KEY] }],
  hooks: { '20-web.sh': { network: true } },
  roles: { web: { target: 'web-cluster-node.target' } },
  boot: {
    config: ['arm_64bit=1', 'b=1'],
    cmdline: ['quiet'],
    loaders: ['u-boot'],
    initramfs: { modules: ['nfsv4'] },
  },
};

const BASE = `${DEBIAN}variables: {port: {type: integer, default: 8000}, on: {type: boolean, default: false}}
mirror: http://mirror.test
boot: {config: [arm_64bit=1, '[pi4]', a=1], cmdline: [console=tty1], loaders: [ipxe]}
roles: {plain: {target: multi-user.target}, web: {target: old.target}}
`;

const files = (recipe: string): Files => ({
  'base/image.yaml': BASE,
  'base/templates/etc/port': '{{ port }}{% if on %} on{% endif %}\n',
  'base/hooks/10-base.sh': '#!/bin/sh -eu\ntrue\n',
  'web/image.yaml': recipe,
  'web/rootfs/usr/bin/tool': { script: '#!/bin/sh\n' },
  'web/rootfs/etc/plain': '{{ as it is }}',
  'web/rootfs/etc/link': { link: '../nowhere' },
  'web/templates/usr/bin/page': { script: '#!/bin/sh\necho {{ title }} {{ port }} {{ arch }}\n' },
  'web/hooks/20-web.sh': '#!/bin/sh -eu\necho "$VAR_PORT $VAR_TITLE"\n',
  'web/hooks/10-web.sh': '#!/bin/sh -eu\ntrue\n',
  'web/debs/b_1_all.deb': '',
  'web/debs/a_1_all.deb': '',
});

describe('readRecipeChain', () => {
  it('reads every key of the format', async () => {
    await using folder = await imagesFolder(files(stringify(FULL)));
    const chain = await readRecipeChain(folder.path, 'web');
    assert.deepEqual(
      [chain.name, chain.arch, chain.images.map(({ name }) => name)],
      ['web', 'arm64', ['base', 'web']],
    );
    const web = chain.images[1];
    assert.ok(web);
    const { recipe } = web;
    assert.deepEqual(recipe.packages, { add: ['curl', 'nginx'], remove: ['nano'], upgrade: true });
    assert.deepEqual(recipe.files, [
      { path: '/etc/motd', kind: 'file', owner: 'root', group: 'adm', mode: 0o640, content: 'a: "b"\n' },
      { path: '/usr/bin/tool', kind: 'file', owner: 'ops', group: 'root', mode: 0o755 },
      { path: '/mnt/www', kind: 'folder', owner: 'root', group: 'root', mode: 0o755 },
    ]);
    assert.deepEqual(recipe.units, {
      ...FULL.units,
      dropins: { 'nginx.service': { port: '[Service]\nEnvironment=PORT=80\n' } },
      targets: {
        'web-cluster-node': {
          ...FULL.units.targets['web-cluster-node'],
          wants: [],
          after: [],
          conflicts: [],
        },
      },
    });
    assert.deepEqual(recipe.tmpfiles, FULL.tmpfiles);
    assert.deepEqual(recipe.fstab, FULL.fstab);
    assert.deepEqual(recipe.sysctl, { 'net.ipv4.ip_forward': '1', 'net.core.somaxconn': '80' });
    assert.deepEqual(recipe.users, FULL.users);
    assert.equal(recipe.mirror, FULL.mirror);
    assert.deepEqual(web.localDebs, [`${web.folder}/debs/a_1_all.deb`, `${web.folder}/debs/b_1_all.deb`]);
    assert.deepEqual(web.rootfs, [
      { path: 'rootfs/etc/link', content: { kind: 'link', target: '../nowhere' } },
      {
        path: 'rootfs/etc/plain',
        content: { kind: 'file', file: `${web.folder}/rootfs/etc/plain` },
        mode: 0o644,
      },
      {
        path: 'rootfs/usr/bin/page',
        content: { kind: 'text', text: '#!/bin/sh\necho a: "b" 80 arm64\n' },
        mode: 0o755,
      },
      {
        path: 'rootfs/usr/bin/tool',
        content: { kind: 'file', file: `${web.folder}/rootfs/usr/bin/tool` },
        mode: 0o755,
      },
    ]);
    assert.deepEqual(
      web.hooks.map(({ name, network, variables, input }) => ({
        name,
        network,
        variables,
        path: input.path,
      })),
      [
        { name: '10-web.sh', network: false, variables: {}, path: 'hooks/10-web.sh' },
        {
          name: '20-web.sh',
          network: true,
          variables: { VAR_PORT: '80', VAR_TITLE: 'a: "b"' },
          path: 'hooks/20-web.sh',
        },
      ],
    );
  });

  it('is content with a base alone, and with sections that have nothing in them', async () => {
    await using folder = await imagesFolder({
      'bare/image.yaml': `${DEBIAN}packages:\nunits:\n  enable:\n  # nothing\nboot:\n`,
    });
    const chain = await readRecipeChain(folder.path, 'bare');
    assert.deepEqual(chain.images[0]?.recipe.packages, { add: [], remove: [], upgrade: false });
    assert.deepEqual(settingsOf(chain).boot, {
      kernel: 'kernel8.img',
      initramfs: 'initramfs8',
      config: [],
      cmdline: [],
      loaders: [],
      initramfsModules: [],
    });
  });

  it('takes a value from the command line before that of the recipe, and that before the default', async () => {
    await using folder = await imagesFolder(files(stringify(FULL)));
    const portOf = async (name: string, settings = {}) => {
      const chain = await readRecipeChain(folder.path, name, { settings });
      const [file] = chain.images[0]?.rootfs ?? [];
      return file?.content.kind === 'text' ? file.content.text : undefined;
    };
    assert.equal(await portOf('base'), '8000\n');
    assert.equal(await portOf('web'), '80\n');
    assert.equal(await portOf('web', { port: '-1', on: 'true' }), '-1 on\n');
  });

  it('adds the lists of a chain, the parent first, and lets the child say what a role is', async () => {
    await using folder = await imagesFolder(files(stringify(FULL)));
    const settings = settingsOf(await readRecipeChain(folder.path, 'web'));
    assert.deepEqual(settings, {
      roles: { plain: { target: 'multi-user.target' }, web: { target: 'web-cluster-node.target' } },
      boot: {
        kernel: 'kernel8.img',
        initramfs: 'initramfs8',
        // The parent's filter [pi4] does not hold for the child's lines.
        config: ['arm_64bit=1', '[pi4]', 'a=1', '[all]', 'b=1'],
        cmdline: ['console=tty1', 'quiet'],
        loaders: ['ipxe', 'u-boot'],
        initramfsModules: ['nfsv4'],
      },
    });
  });

  it('takes each root setting from the image nearest to the leaf that has it', async () => {
    await using folder = await imagesFolder({
      'base/image.yaml': `${DEBIAN}node: {root: private, disk: 8G, nfs: 4}\n`,
      'web/image.yaml':
        'base: {from: base}\nvariables: {room: {type: string, default: 8M}}\nnode: {root: overlay, memory: "{{ room }}"}',
    });
    const chain = await readRecipeChain(folder.path, 'web');
    assert.deepEqual(settingsOf(chain).node, { root: 'overlay', memory: '8M', disk: '8G', nfs: 4 });
  });

  it('plans the chain for the architecture that the child asks for', async () => {
    await using folder = await imagesFolder({
      'base/image.yaml': `${DEBIAN}packages: ['linux-image-{{ arch }}', 'raspi-firmware [arm64]', 'grub-pc [amd64]']`,
      'pc/image.yaml': 'base: {from: base, arch: amd64}\nmirror: http://m.test\nboot: {initramfs: false}',
    });
    const chain = await readRecipeChain(folder.path, 'pc');
    assert.deepEqual(chain.images[0]?.recipe.packages.add, ['grub-pc', 'linux-image-amd64']);
    assert.deepEqual(baseOf(chain), { kind: 'debian', suite: 'trixie', arch: 'amd64', components: ['main'] });
    const { kernel, initramfs } = settingsOf(chain).boot;
    assert.deepEqual({ kernel, initramfs }, { kernel: 'vmlinuz', initramfs: undefined });
    assert.equal((await readRecipeChain(folder.path, 'base')).arch, 'arm64');
  });

  it('starts from a file beside the recipe', async () => {
    const sha256 = 'ab'.repeat(32);
    await using folder = await imagesFolder({
      'pios/image.yaml': `base: {image: pios.img.xz, sha256: ${sha256}, arch: arm64}`,
      'pios/pios.img.xz': '',
      'web/image.yaml': 'base: {from: pios}',
    });
    const chain = await readRecipeChain(folder.path, 'web');
    assert.deepEqual(baseOf(chain), {
      kind: 'image',
      file: `${folder.path}/pios/pios.img.xz`,
      sha256,
      arch: 'arm64',
    });
  });

  it('gives a hook the variables that it names, and counts none as missing that it need not have', async () => {
    const script = [
      '#!/bin/sh -eu',
      '# $VAR_NOBODY knows',
      'VAR_OWN=1; echo "$VAR_OWN"',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: of the shell
      'echo "${VAR_OTHER:-80} ${VAR_THIRD-}" $VAR_ON_',
    ];
    await using folder = await imagesFolder({
      'web/image.yaml': `${DEBIAN}variables: {on: {type: boolean, default: true}, on_: {type: string, default: y}}`,
      'web/hooks/10-a.sh': script.join('\n'),
    });
    const chain = await readRecipeChain(folder.path, 'web');
    assert.deepEqual(chain.images[0]?.hooks[0]?.variables, { VAR_ON_: 'y' });
  });

  it('installs from the mirror of the image below, where it names none', async () => {
    await using folder = await imagesFolder({
      'base/image.yaml': BASE,
      'web/image.yaml': 'base: {from: base}',
    });
    const chain = await readRecipeChain(folder.path, 'web');
    assert.equal(chain.images[1]?.recipe.mirror, 'http://mirror.test');
    assert.deepEqual(baseOf(chain), {
      kind: 'debian',
      suite: 'trixie',
      arch: 'arm64',
      components: ['main'],
      mirror: 'http://mirror.test',
    });
  });

  it('makes the same of a recipe, however its keys are ordered, styled and commented', async () => {
    const expected = await read(stringify(FULL));
    await fc.assert(
      fc.asyncProperty(
        fc.infiniteStream(fc.nat()),
        fc.constantFrom('PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE', 'BLOCK_LITERAL') as fc.Arbitrary<'PLAIN'>,
        fc.boolean(),
        async (random, defaultStringType, flow) => {
          const recipe = stringify(shuffled(FULL, random), {
            defaultStringType,
            collectionStyle: flow ? 'flow' : 'block',
          });
          assert.equal(await read(`# a remark\n${recipe}\n# another\n`), expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('makes another of a recipe whose values differ', async () => {
    const expected = await read(stringify(FULL));
    for (const change of [
      { fstab: [] },
      { set: { port: 81 } },
      { description: 'x' },
      { files: FULL.files.toReversed().slice(0, 2) },
    ]) {
      assert.notEqual(await read(stringify({ ...FULL, ...change })), expected);
    }
  });
});

async function read(recipe: string): Promise<string> {
  await using folder = await imagesFolder(files(recipe));
  // Not the texts, which are kept for people.
  const { images, variables } = await readRecipeChain(folder.path, 'web');
  return canonical({ images, variables }).replaceAll(folder.path, '');
}

/** The same with the keys of every map in another order. */
function shuffled(value: unknown, random: Iterator<number>): unknown {
  if (Array.isArray(value)) return value.map((item) => shuffled(item, random));
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).map(([key, item]) => ({
    key,
    item,
    place: random.next().value ?? 0,
  }));
  entries.sort((a, b) => a.place - b.place);
  return Object.fromEntries(entries.map(({ key, item }) => [key, shuffled(item, random)]));
}

describe('canonical', () => {
  it('is one text for equal values, and reads back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.infiniteStream(fc.nat()), (value, random) => {
        assert.equal(canonical(shuffled(value, random)), canonical(value));
        assert.deepEqual(JSON.parse(canonical(value)), JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});
