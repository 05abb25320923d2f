import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parseRecipe } from '../../src/imaging/recipe.ts';
import { Refusal } from '../../src/model/command.ts';

const right = `# The first line is a comment.
base:
  debian: trixie
  arch: arm64
  components: [main, non-free-firmware]

packages:
  - linux-image-arm64
  - nginx
  - raspi-firmware
  - zstd

roles:
  web:
    target: web-cluster-node.target

boot:
  config:
    - arm_64bit=1
`;

const mistakes: readonly { given: string; change: [from: string | RegExp, to: string]; expect: RegExp }[] = [
  {
    given: 'an unknown key at the top',
    change: ['packages:', 'package:'],
    expect:
      /^image\.yaml:7: package: there is no such key; the keys here are base, mirror, packages, roles, boot\. Mend/m,
  },
  {
    given: 'an unknown key inside',
    change: ['  arch: arm64', '  architecture: arm64'],
    expect:
      /^image\.yaml:4: base\.architecture: there is no such key; the keys here are debian, arch, components\. Mend/m,
  },
  {
    given: 'an architecture nobody builds',
    change: ['arm64', 'mips'],
    expect: /^image\.yaml:4: base\.arch: only arm64/,
  },
  {
    given: 'a loader nobody knows',
    change: ['  config:', '  loaders: [grub]\n  config:'],
    expect: /^image\.yaml:18: boot\.loaders\.0: the loaders are ipxe, u-boot/,
  },
  {
    given: 'a package name that cannot be one',
    change: ['  - zstd', '  - Zstd Tools'],
    expect: /^image\.yaml:11: packages\.3: a Debian package name has lower-case/,
  },
  { given: 'a missing section', change: [/^base:\n( {2}.*\n)+/m, ''], expect: /^image\.yaml:\d+: base: / },
  {
    given: 'a list where a text belongs',
    change: ['debian: trixie', 'debian: [trixie]'],
    expect: /^image\.yaml:3: base\.debian: /,
  },
  {
    given: 'a target that is no unit name',
    change: ['web-cluster-node.target', 'web-cluster-node'],
    expect: /^image\.yaml:15: roles\.web\.target: /,
  },
  {
    given: 'a mirror that is no address',
    change: ['base:', 'mirror: ftp\nbase:'],
    expect: /^image\.yaml:2: mirror: write the http/,
  },
  {
    given: 'broken YAML',
    change: ['[main, non-free-firmware]', '[main'],
    expect: /^image\.yaml:\d+: this is not YAML: /,
  },
  { given: 'an empty file', change: [/[\s\S]*/, ''], expect: /^image\.yaml:1: base: / },
];

describe('parseRecipe', () => {
  it('reads the web image', () => {
    const web = readFileSync(new URL('../../images/web/image.yaml', import.meta.url), 'utf8');
    const recipe = parseRecipe(web, 'images/web/image.yaml');
    assert.deepEqual(recipe.base, {
      debian: 'trixie',
      arch: 'arm64',
      components: ['main', 'non-free-firmware'],
    });
    assert.deepEqual(recipe.roles, { web: { target: 'web-cluster-node.target' } });
    assert.ok(recipe.packages.includes('nginx'));
  });

  for (const { given, change, expect } of mistakes) {
    it(`refuses ${given}, naming file, line and key`, () => {
      const text = right.replace(...change);
      assert.notEqual(text, right);
      assert.throws(
        () => parseRecipe(text, 'image.yaml'),
        (error) => error instanceof Refusal && expect.test(error.message),
      );
    });
  }
});
