import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  ARCHES,
  formatPackageLine,
  type PackageLine,
  parsePackageLine,
  selectPackages,
} from '../../../src/imaging/recipe/package-line.ts';

const lines: readonly { line: string; expect: PackageLine | RegExp }[] = [
  { line: 'nginx', expect: { name: 'nginx' } },
  { line: ' libstdc++6 ', expect: { name: 'libstdc++6' } },
  { line: 'linux-image-arm64 [arm64]', expect: { name: 'linux-image-arm64', only: ['arm64'] } },
  { line: 'htop[arm64  armhf ]', expect: { name: 'htop', only: ['arm64', 'armhf'] } },
  { line: 'htop [!amd64]', expect: { name: 'htop', not: ['amd64'] } },
  { line: 'htop [!amd64 !armhf]', expect: { name: 'htop', not: ['amd64', 'armhf'] } },
  { line: 'htop [arm64 !amd64]', expect: /says both what it is for and what it is not for/ },
  { line: 'htop [mips]', expect: /"mips" is no architecture that is built; write htop \[arm64\]/ },
  { line: 'htop []', expect: /the restriction is empty/ },
  { line: 'htop [arm64', expect: /is no Debian package name/ },
  { line: 'htop [arm64] [amd64]', expect: /is no Debian package name/ },
  { line: 'Nginx', expect: /"Nginx" is no Debian package name/ },
  { line: 'nginx curl', expect: /is no Debian package name/ },
  { line: 'libc6:armhf', expect: /is no Debian package name/ },
  { line: '-y', expect: /is no Debian package name/ },
  { line: '', expect: /is no Debian package name/ },
  { line: 'nginx=1.26', expect: /a version is not pinned here/ },
  { line: 'nginx (>= 1.26)', expect: /a version is not pinned here/ },
  { line: 'nginx/trixie-backports', expect: /a version is not pinned here/ },
];

const arches = fc.uniqueArray(fc.constantFrom(...ARCHES), { minLength: 1 });
const anyLine = fc.record({ name: fc.stringMatching(/^[a-z0-9][a-z0-9+.-]{1,12}$/) }).chain(({ name }) =>
  fc.oneof(
    fc.constant<PackageLine>({ name }),
    arches.map((only): PackageLine => ({ name, only })),
    arches.map((not): PackageLine => ({ name, not })),
  ),
);

describe('parsePackageLine', () => {
  for (const { line, expect } of lines) {
    it(`reads "${line}"`, () => {
      const parsed = parsePackageLine(line);
      if (expect instanceof RegExp) assert.match(String(parsed), expect);
      else assert.deepEqual(parsed, expect);
    });
  }

  it('reads what formatPackageLine writes', () => {
    fc.assert(
      fc.property(anyLine, (line) => assert.deepEqual(parsePackageLine(formatPackageLine(line)), line)),
    );
  });

  it('says something about any text, in no time', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab[]! \t=-'), maxLength: 4000 }), (text) => {
        const parsed = parsePackageLine(text);
        assert.ok(typeof parsed === 'string' || /^[a-z0-9][a-z0-9+.-]+$/.test(parsed.name));
      }),
    );
  });
});

describe('selectPackages', () => {
  it('chooses as the restriction says, whatever the order of the lines', () => {
    fc.assert(
      fc.property(
        fc.array(anyLine),
        fc.constantFrom(...ARCHES),
        fc.infiniteStream(fc.nat()),
        (all, arch, random) => {
          const chosen = selectPackages(all, arch);
          const isFor = ({ only, not }: PackageLine) =>
            only ? only.includes(arch) : !(not ?? []).includes(arch);
          assert.deepEqual(new Set(chosen), new Set(all.filter(isFor).map(({ name }) => name)));
          const shuffled = all
            .map((line) => ({ line, place: random.next().value ?? 0 }))
            .toSorted((a, b) => a.place - b.place)
            .map(({ line }) => line);
          assert.deepEqual(selectPackages(shuffled, arch), chosen);
        },
      ),
    );
  });
});
