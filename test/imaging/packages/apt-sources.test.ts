import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findMirrors } from '../../../src/imaging/packages/apt-sources.ts';

const cases: readonly {
  given: string;
  name: string;
  text: string;
  expect: { main: string; security: string | undefined } | undefined;
}[] = [
  {
    given: 'one-line style with options and comments',
    name: 'sources.list',
    text: `# deb http://old.test/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.test/debian/ bookworm main contrib # near
deb-src http://source.test/debian bookworm main
deb http://mirror.test/debian-security bookworm-security main
`,
    expect: { main: 'http://mirror.test/debian', security: 'http://mirror.test/debian-security' },
  },
  {
    given: 'deb822 with several stanzas, comments and a folded field',
    name: 'debian.sources',
    text: `Types: deb deb-src
# nearest
URIs: https://mirror.test/debian
Suites: trixie
 trixie-updates
Components: main non-free-firmware

Types: deb
URIs: https://mirror.test/debian-security
Suites: trixie-security
Components: main
`,
    expect: { main: 'https://mirror.test/debian', security: 'https://mirror.test/debian-security' },
  },
  {
    given: 'a disabled stanza before the real one',
    name: 'debian.sources',
    text: `Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: trixie
Components: main

Types: deb
URIs: http://on.test/debian
Suites: trixie
Components: main
`,
    expect: { main: 'http://on.test/debian', security: undefined },
  },
  {
    given: "another vendor's archive, with Debian's suite names",
    name: 'vendor.list',
    text: 'deb http://apt.vendor.test/ bookworm main\ndeb http://vendor.test/debian bookworm stable\n',
    expect: undefined,
  },
  {
    given: 'a snapshot, whose path goes on',
    name: 'sources.list',
    text: 'deb [check-valid-until=no] http://snapshot.test/archive/debian/20260101T000000Z trixie main',
    expect: { main: 'http://snapshot.test/archive/debian/20260101T000000Z', security: undefined },
  },
  { given: 'nothing', name: 'sources.list', text: '', expect: undefined },
];

describe('findMirrors', () => {
  for (const { given, name, text, expect } of cases) {
    it(`reads ${given}`, () => assert.deepEqual(findMirrors([{ name, text }]), expect));
  }
});
