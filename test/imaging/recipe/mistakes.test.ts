import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readRecipeChain } from '../../../src/imaging/recipe/read.ts';
import { Refusal } from '../../../src/model/command.ts';
import { DEBIAN, type Files, imagesFolder } from './folder.ts';

const HOOK = '#!/bin/sh -eu\ntrue\n';
/** A right recipe with more lines; the first of those is line 2. */
const more = (yaml: string): Files => ({ 'web/image.yaml': DEBIAN + yaml });

/** In `expect`, `image.yaml` stands for the path of the image `web`, other paths are below the folder of the images. */
const cases: readonly { given: string; files: Files; expect: string; settings?: Record<string, string> }[] = [
  {
    given: 'an unknown key',
    files: more('package: [x]'),
    expect: 'image.yaml:2: package: there is no such key; the keys here are description, base, ',
  },
  {
    given: 'an unknown key inside',
    files: more('units:\n  enabled: []'),
    expect: 'image.yaml:3: units.enabled: there is no such key; the keys here are default, enable, ',
  },
  {
    given: 'a wrong type',
    files: more('units: {enable: nginx.service}'),
    expect: 'image.yaml:2: units.enable: must be a list',
  },
  {
    given: 'a number for a text',
    files: more('description: 5'),
    expect: 'image.yaml:2: description: must be a text',
  },
  {
    given: 'packages that are neither list nor map',
    files: more('packages: nginx'),
    expect: 'image.yaml:2: packages: must be a list or a map',
  },
  {
    given: 'an unknown key of packages',
    files: more('packages:\n  install: [nginx]'),
    expect:
      'image.yaml:3: packages.install: there is no such key; the keys here are add, remove, local, upgrade',
  },
  { given: 'broken YAML', files: more('packages: [nginx'), expect: 'image.yaml:2: this is not YAML: ' },
  {
    given: 'a list in itself',
    files: more('fstab: &a [*a]'),
    expect: 'image.yaml: this holds itself',
  },
  {
    given: 'a key that is there twice',
    files: more('fstab: []\nfstab: []'),
    expect: 'image.yaml:3: this is not YAML: ',
  },

  {
    given: 'nothing to start from',
    files: { 'web/image.yaml': 'fstab: []' },
    expect: 'image.yaml:1: base: say what the image is built on, by one of: debian, from, image, tarball',
  },
  {
    given: 'two things to start from',
    files: { 'web/image.yaml': 'base: {debian: trixie, from: base}', 'base/image.yaml': DEBIAN },
    expect: 'image.yaml:1: base: say what the image is built on, by one of',
  },
  {
    given: 'no architecture',
    files: { 'web/image.yaml': 'base: {debian: trixie}' },
    expect: 'image.yaml:1: base.arch: the architectures are arm64, armhf, amd64',
  },
  {
    given: 'an architecture nobody builds',
    files: { 'web/image.yaml': 'base:\n  debian: trixie\n  arch: mips' },
    expect: 'image.yaml:3: base.arch: the architectures are arm64, armhf, amd64',
  },
  {
    given: 'an unknown key of the base',
    files: { 'web/image.yaml': 'base: {debian: trixie, arch: arm64, suite: x}' },
    expect: 'image.yaml:1: base.suite: there is no such key; the keys here are debian, arch, components',
  },
  {
    given: 'an image without its checksum',
    files: { 'web/image.yaml': 'base: {image: a.img.xz, arch: arm64}', 'web/a.img.xz': '' },
    expect: 'image.yaml:1: base.sha256: is missing; write what "sha256sum FILE" prints',
  },
  {
    given: 'an image that is not there',
    files: { 'web/image.yaml': `base: {image: a.img.xz, arch: arm64, sha256: ${'a'.repeat(64)}}` },
    expect: 'image.yaml:1: base.image: there is no file ',
  },
  {
    given: 'a parent that is not there',
    files: { 'web/image.yaml': '# a line\nbase:\n  from: bare' },
    expect: 'image.yaml:3: base.from: there is no image "bare" (no ',
  },
  {
    given: 'a circle',
    files: {
      'web/image.yaml': 'base: {from: b}',
      'b/image.yaml': 'base: {from: c}',
      'c/image.yaml': 'base: {from: web}',
    },
    expect: 'c/image.yaml:1: base.from: goes in a circle: web → b → c → web; ',
  },
  {
    given: 'an image built on itself',
    files: { 'web/image.yaml': 'base: {from: web}' },
    expect: 'image.yaml:1: base.from: goes in a circle: web → web; ',
  },
  {
    given: 'a mistake of the parent',
    files: { 'web/image.yaml': 'base: {from: b}', 'b/image.yaml': `${DEBIAN}zap: 1` },
    expect: 'b/image.yaml:2: zap: there is no such key',
  },
  {
    given: 'another architecture than that of the import',
    files: {
      'web/image.yaml': 'base: {from: b, arch: amd64}',
      'b/image.yaml': `base: {tarball: a.tar, arch: arm64, sha256: ${'a'.repeat(64)}}`,
      'b/a.tar': '',
    },
    expect: 'image.yaml:1: base.arch: the image "b" is imported and arm64; ',
  },
  {
    given: 'a mirror that is no address',
    files: more('mirror: ftp'),
    expect: 'image.yaml:2: mirror: write the http or https address',
  },

  {
    given: 'a bad package name',
    files: more('packages:\n- nginx\n- Nginx Extras'),
    expect: 'image.yaml:4: packages.1: "Nginx Extras" is no Debian package name',
  },
  {
    given: 'a bad restriction',
    files: more('packages: {add: ["nginx [arm64 !amd64]"]}'),
    expect: 'image.yaml:2: packages.add.0: [arm64 !amd64] says both',
  },
  {
    given: 'a local package that is not there',
    files: more('packages: {local: [debs/x_1_all.deb]}'),
    expect: 'image.yaml:2: packages.local.0: there is no file ',
  },
  {
    given: 'a local package elsewhere',
    files: more('packages: {local: [../x_1_all.deb]}'),
    expect: 'image.yaml:2: packages.local.0: the file has to lie beside the recipe',
  },
  {
    given: 'a local package that is none',
    files: more('packages: {local: [debs/x]}'),
    expect: 'image.yaml:2: packages.local.0: "debs/x" is no .deb file',
  },
  {
    given: 'a pattern that fits nothing',
    files: more('packages: {local: [debs/*.deb]}'),
    expect: 'image.yaml:2: packages.local.0: there is no file ',
  },

  {
    given: 'a relative path',
    files: more('files: [{path: etc/motd, content: x}]'),
    expect: 'image.yaml:2: files.0.path: write a path from the root',
  },
  {
    given: 'a path with a way up',
    files: more('files: [{path: /etc/../motd, content: x}]'),
    expect: 'image.yaml:2: files.0.path: write the path without ".", ".."',
  },
  {
    given: 'a file that nothing brings',
    files: more('files: [{path: /etc/motd}]'),
    expect: 'image.yaml:2: files.0.path: there is no rootfs/etc/motd; put the file there, ',
  },
  {
    given: 'a file with two contents',
    files: { ...more('files: [{path: /etc/motd, content: x}]'), 'web/rootfs/etc/motd': 'y' },
    expect: 'image.yaml:2: files.0.path: rootfs/etc/motd brings this file too',
  },
  {
    given: 'a file that is named twice',
    files: more('files:\n- {path: /a, content: x}\n- {path: /a, content: x}'),
    expect: 'image.yaml:4: files.1.path: /a is named twice',
  },
  {
    given: 'a folder with content',
    files: more('files: [{path: /srv/, content: x}]'),
    expect: 'image.yaml:2: files.0.path: a folder has no content',
  },
  {
    given: 'a mode without quotes',
    files: more('files: [{path: /a, content: x, mode: 0640}]'),
    expect: "image.yaml:2: files.0.mode: write the mode in quotes, as '0640'",
  },
  {
    given: 'a mode that is none',
    files: more("files: [{path: /a, content: x, mode: '0698'}]"),
    expect: 'image.yaml:2: files.0.mode: write the mode as three or four octal digits',
  },
  {
    given: 'an owner that is no name',
    files: more("files: [{path: /a, content: x, owner: 'a b'}]"),
    expect: 'image.yaml:2: files.0.owner: write the name or number',
  },
  {
    given: 'one path of rootfs/ and templates/',
    files: { ...more(''), 'web/rootfs/etc/a': '', 'web/templates/etc/a': '' },
    expect: 'web/templates/etc/a: rootfs/etc/a brings this file too',
  },
  {
    given: 'a folder in one, a file in the other',
    files: { ...more(''), 'web/rootfs/etc/a': '', 'web/templates/etc/a/b': '' },
    expect: 'web/rootfs/etc/a: is a folder in the other',
  },
  {
    given: 'a tmpfiles.d file that rootfs/ brings',
    files: { ...more("tmpfiles:\n  a: ['D /x']"), 'web/rootfs/etc/tmpfiles.d/a.conf': '' },
    expect: 'image.yaml:3: tmpfiles.a: rootfs/etc/tmpfiles.d/a.conf brings /etc/tmpfiles.d/a.conf too',
  },
  {
    given: 'a content below what rootfs/ has as a link',
    files: {
      ...more('files: [{path: /var/www/index.html, content: x}]'),
      'web/rootfs/var/www': { link: '/srv/www' },
    },
    expect: 'image.yaml:2: files.0.path: rootfs/var/www is no folder; name the place it leads to',
  },
  {
    given: 'a content below another content',
    files: more('files: [{path: /etc/a, content: x}, {path: /etc/a/b, content: x}]'),
    expect: 'image.yaml:2: files.1.path: /etc/a is no folder; ',
  },
  {
    given: 'lines for a folder that rootfs/ has as a link',
    files: {
      ...more('tmpfiles: {a: [D /var/log/a]}'),
      'web/rootfs/etc/tmpfiles.d': { link: '/srv' },
    },
    expect:
      'image.yaml:2: tmpfiles.a: rootfs/etc/tmpfiles.d is no folder, and /etc/tmpfiles.d/a.conf is to be in it',
  },
  {
    given: 'settings whose file rootfs/ brings',
    files: { ...more('sysctl: {vm.swappiness: 0}'), 'web/rootfs/etc/sysctl.d/90-web.conf': 'x' },
    expect: 'image.yaml:2: sysctl: rootfs/etc/sysctl.d/90-web.conf brings /etc/sysctl.d/90-web.conf too',
  },
  {
    given: 'a drop-in that "files" brings',
    files: more(
      'files: [{path: /etc/systemd/system/a.service.d/x.conf, content: x}]\nunits: {dropins: {a.service: {x: y}}}',
    ),
    expect: 'image.yaml:3: units.dropins.a.service.x: "files" brings ',
  },

  {
    given: 'a unit without its kind',
    files: more('units: {mask: [nginx]}'),
    expect: 'image.yaml:2: units.mask.0: write a whole unit name, as nginx.service',
  },
  {
    given: 'a default that is no target',
    files: more('units: {default: nginx.service}'),
    expect: 'image.yaml:2: units.default: write a whole unit name, as multi-user.target',
  },
  {
    given: 'a key that is no unit',
    files: more('units: {wants: {web: [nginx.service]}}'),
    expect: 'image.yaml:2: units.wants.web: "web": write a whole unit name',
  },
  {
    given: 'a target with its kind',
    files: more('units: {targets: {web.target: {}}}'),
    expect: 'image.yaml:2: units.targets.web.target: "web.target": write it without ".target"',
  },
  {
    given: 'a line that is none of tmpfiles.d',
    files: more('tmpfiles: {a: [/var/log/nginx]}'),
    expect: 'image.yaml:2: tmpfiles.a.0: write a line of tmpfiles.d(5)',
  },
  {
    given: 'a line that is none of fstab',
    files: more('fstab: [tmpfs /root]'),
    expect: 'image.yaml:2: fstab.0: write a line of fstab(5)',
  },
  {
    given: 'a user name that is none',
    files: more('users: [{name: The Boss}]'),
    expect: 'image.yaml:2: users.0.name: a user name has',
  },
  {
    given: 'a key cut short',
    files: more('users: [{name: a, keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHhZ]}]'),
    expect: 'image.yaml:2: users.0.keys.0: this is no public SSH key, or cut short',
  },
  {
    given: 'a private key',
    files: more("users: [{name: a, keys: ['-----BEGIN OPENSSH PRIVATE KEY-----']}]"),
    expect: 'image.yaml:2: users.0.keys.0: this is a private key',
  },
  {
    given: 'a user twice',
    files: more('users: [{name: a}, {name: a}]'),
    expect: 'image.yaml:2: users.1.name: "a" is named twice',
  },
  {
    given: 'another number for root',
    files: more('users: [{name: root, uid: 5}]'),
    expect: 'image.yaml:2: users.0.uid: root has its own',
  },
  {
    given: 'a role without a target',
    files: more('roles: {web: {target: web}}'),
    expect: 'image.yaml:2: roles.web.target: ',
  },
  {
    given: 'two words as one',
    files: more("boot: {cmdline: ['a b']}"),
    expect: 'image.yaml:2: boot.cmdline.0: one word a list item',
  },
  {
    given: 'a loader nobody knows',
    files: more('boot: {loaders: [grub]}'),
    expect: 'image.yaml:2: boot.loaders.0: the loaders are ipxe, u-boot',
  },
  {
    given: 'a root of no kind',
    files: more('node: {root: writable}'),
    expect: 'image.yaml:2: node.root: ',
  },
  {
    given: 'a ceiling without a unit',
    files: more('node: {root: overlay, memory: 256}'),
    expect: 'image.yaml:2: node.memory: write 256M, or 50%',
  },
  {
    given: 'a disk of which no file system can be made',
    files: more('node: {root: private, disk: 8M}'),
    expect: 'image.yaml:2: node.disk: give a disk 16M to 16T',
  },
  {
    given: 'a disk without a unit',
    files: more("node: {root: private, disk: '8'}"),
    expect: 'image.yaml:2: node.disk: write a size as 512M or 4G',
  },
  {
    given: 'a role by the name of none',
    files: more('roles: {none: {target: multi-user.target}}'),
    expect: 'image.yaml:2: roles: "none" says that a node has no role: name it otherwise',
  },
  {
    given: 'a root that is put together by what is not there',
    files: more('boot: {initramfs: false}\nnode:\n  root: private'),
    expect: 'image.yaml:4: node.root: "private" needs an initramfs, and "boot.initramfs" is false; ',
  },
  {
    given: 'an initramfs that is neither',
    files: more('boot: {initramfs: true}'),
    expect: 'image.yaml:2: boot.initramfs: must be false or a map',
  },

  {
    given: 'a file in the place of a folder',
    files: { ...more(''), 'web/rootfs': 'x' },
    expect: 'web/rootfs: has to be a folder',
  },
  {
    given: 'a folder in the place of a hook',
    files: { ...more(''), 'web/hooks/10-a.sh/x': '' },
    expect: 'web/hooks/10-a.sh: has to be a file; a hook is a script',
  },
  {
    given: 'a hook without a shebang',
    files: { ...more(''), 'web/hooks/10-a.sh': 'true\n' },
    expect: 'web/hooks/10-a.sh:1: a hook begins with the program that runs it; write #!/bin/sh -eu',
  },
  {
    given: 'a hook with the line ends of Windows',
    files: { ...more(''), 'web/hooks/10-a.sh': '#!/bin/sh\r\ntrue\r\n' },
    expect: 'web/hooks/10-a.sh:1: the lines end as those of Windows do',
  },
  {
    given: 'a hook without a place',
    files: { ...more(''), 'web/hooks/a.sh': HOOK },
    expect: 'web/hooks/a.sh: has no place in the order; name it like 10-web.sh',
  },
  {
    given: 'a hook that is no text',
    files: { ...more(''), 'web/hooks/10-a.sh': Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 0xff) },
    expect: 'web/hooks/10-a.sh: is no text in UTF-8; a hook is a script',
  },
  {
    given: 'a hook with an undeclared variable',
    files: { ...more(''), 'web/hooks/10-a.sh': `${HOOK}echo "\${VAR_PORT}"` },
    expect: 'web/hooks/10-a.sh:3: there is no variable for $VAR_PORT; declare "port"',
  },
  {
    given: 'a remark on no hook',
    files: { ...more('hooks: {20-a.sh: {}}'), 'web/hooks/10-a.sh': HOOK },
    expect: 'image.yaml:2: hooks.20-a.sh: there is no hooks/20-a.sh; there are: 10-a.sh',
  },

  {
    given: 'a template that does not parse',
    files: { ...more(''), 'web/templates/etc/a': 'x\n{% if %}' },
    expect: 'web/templates/etc/a:2: this is no Liquid template: ',
  },
  {
    given: 'an undeclared variable in a template',
    files: { ...more(''), 'web/templates/etc/a': 'x\n\n{{ port }}' },
    expect: 'web/templates/etc/a:3: there is no variable "port" here, but arch; ',
  },
  {
    given: 'one in a branch not taken',
    files: { ...more(''), 'web/templates/etc/a': '{% if arch == "x" %}{{ port }}{% endif %}' },
    expect: 'web/templates/etc/a:1: there is no variable "port" here',
  },
  {
    given: 'a template that reads another file',
    files: { ...more(''), 'web/templates/etc/a': "{% include '/etc/passwd' %}" },
    expect: 'web/templates/etc/a:1: this is no Liquid template: tag "include" not found',
  },
  {
    given: 'a template that would differ each day',
    files: { ...more(''), 'web/templates/etc/a': "{{ 'now' | date: '%s' }}" },
    expect: 'web/templates/etc/a:1: this is no Liquid template: undefined filter: date',
  },
  {
    given: 'a template that is no text',
    files: { ...more(''), 'web/templates/etc/a': Uint8Array.of(0xff, 0xfe) },
    expect: 'web/templates/etc/a: is no text in UTF-8; what is no template goes to rootfs/',
  },
  {
    given: 'an undeclared variable in a text',
    files: more('description: |\n  one\n  {{ two }}'),
    expect: 'image.yaml:4: description: there is no variable "two" here',
  },

  {
    given: 'a type nobody knows',
    files: more('variables:\n  port: {type: port, default: 1}'),
    expect: 'image.yaml:3: variables.port.type: the types are string, integer, boolean',
  },
  {
    given: 'a default of another type',
    files: more("variables:\n  port: {type: integer, default: '1'}"),
    expect: 'image.yaml:3: variables.port.default: must be a whole number',
  },
  {
    given: 'a variable without a default',
    files: more('variables:\n  port: {type: integer}'),
    expect: 'image.yaml:3: variables.port.default: must be a whole number',
  },
  {
    given: 'a variable name that is none',
    files: more('variables: {Port: {type: integer, default: 1}}'),
    expect: 'image.yaml:2: variables.Port: "Port": a variable has lower-case letters',
  },
  {
    given: 'a variable that every image has',
    files: more('variables: {arch: {type: string, default: x}}'),
    expect: 'image.yaml:2: variables.arch: "arch": every image has this already',
  },
  {
    given: 'a value for an unknown variable',
    files: {
      'web/image.yaml': 'base: {from: b}\nset: {prot: 1}',
      'b/image.yaml': `${DEBIAN}variables: {port: {type: integer, default: 1}}`,
    },
    expect: 'image.yaml:2: set.prot: there is no variable "prot" to set in web; there are: port',
  },
  {
    given: 'a value of another type',
    files: {
      'web/image.yaml': "base: {from: b}\nset: {port: '1'}",
      'b/image.yaml': `${DEBIAN}variables: {port: {type: integer, default: 1}}`,
    },
    expect: 'image.yaml:2: set.port: must be a whole number',
  },
  {
    given: 'a variable that the parent declares too',
    files: {
      'web/image.yaml': 'base: {from: b}\nvariables: {port: {type: integer, default: 1}}',
      'b/image.yaml': `${DEBIAN}variables: {port: {type: integer, default: 1}}`,
    },
    expect:
      'image.yaml:2: variables.port: the image "b" declares this already; to give it another value write "set: {port: …}"',
  },
  {
    given: 'an unknown variable on the command line',
    files: more(''),
    settings: { port: '1' },
    expect: '--set: port: there is no variable "port" to set in web; there are none',
  },
  {
    given: 'a value of another type on the command line',
    files: more('variables: {on: {type: boolean, default: true}}'),
    settings: { on: 'yes' },
    expect: '--set: on: must be true or false',
  },
];

describe('readRecipeChain refuses', () => {
  for (const { given, files, expect, settings } of cases) {
    it(`${given}, naming place and remedy`, async () => {
      await using folder = await imagesFolder(files);
      const error = await readRecipeChain(folder.path, 'web', settings ? { settings } : {}).catch(
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof Refusal, String(error));
      const place = expect.startsWith('image.yaml')
        ? `${folder.path}/web/`
        : expect.startsWith('--')
          ? ''
          : `${folder.path}/`;
      const lines = error.message.split('\n');
      assert.ok(
        lines[0]?.startsWith(place + expect),
        `expected ${place + expect}\nbut was  ${error.message}`,
      );
      assert.equal(lines.length, 1, 'one mistake is one line');
      assert.match(error.message, /\. Mend /);
    });
  }

  it('an image that is not there, with those that are', async () => {
    await using folder = await imagesFolder({ ...more(''), 'base/image.yaml': DEBIAN });
    for (const name of ['nope', '../web', '']) {
      await assert.rejects(readRecipeChain(folder.path, name), (error) => {
        assert.ok(error instanceof Refusal);
        return /There is no image ".*" \(no .*image\.yaml\)\. There are: base, web$/.test(error.message);
      });
    }
  });

  it('several mistakes at once, from top to bottom', async () => {
    await using folder = await imagesFolder(
      more('zap: 1\npackages: [A]\ndescription: "{{ x }}"\nunits: {mask: [a]}'),
    );
    await assert.rejects(readRecipeChain(folder.path, 'web'), (error) => {
      assert.ok(error instanceof Refusal);
      const places = error.message
        .split('\n')
        .map((line) => /image\.yaml:(\d+): ([\w.]+):/.exec(line)?.slice(1, 3));
      assert.deepEqual(places, [
        ['2', 'zap'],
        ['3', 'packages.0'],
        ['4', 'description'],
        ['5', 'units.mask.0'],
      ]);
      return true;
    });
  });
});
