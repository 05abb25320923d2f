import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { settleSources } from '../../../src/imaging/packages/sources.ts';
import type { PackageRequest } from '../../../src/imaging/plan/step.ts';
import { openContext } from './archive.ts';

const none = { add: [], remove: [], upgrade: false, fetchOnly: [], local: [] };
const snapshot = 'http://snapshot.test/archive/debian/20260101T000000Z';

for (const { given, request, suites, archives, old } of [
  {
    given: "the host's mirror",
    request: { suite: 'trixie', components: ['main', 'non-free-firmware'] },
    suites: [
      'http://mirror.test/debian trixie main non-free-firmware',
      'http://mirror.test/debian trixie-updates main non-free-firmware',
      'http://security.test/debian-security trixie-security main non-free-firmware',
    ],
    archives: ['http://mirror.test/debian', 'http://security.test/debian-security'],
    old: false,
  },
  {
    given: 'a rolling suite',
    request: { suite: 'sid' },
    suites: ['http://mirror.test/debian sid main'],
    archives: ['http://mirror.test/debian', 'http://security.test/debian-security'],
    old: false,
  },
  {
    given: 'a mirror of the recipe, whose security archive may lie beside it',
    request: { suite: 'trixie', mirror: 'http://own.test/debian/' },
    suites: ['http://own.test/debian trixie main', 'http://own.test/debian trixie-updates main'],
    archives: ['http://own.test/debian', 'http://own.test/debian-security'],
    old: true,
  },
  {
    given: 'a mirror with a path of its own',
    request: { suite: 'trixie', mirror: 'http://own.test/' },
    suites: ['http://own.test trixie main', 'http://own.test trixie-updates main'],
    archives: ['http://own.test'],
    old: true,
  },
  {
    given: 'a snapshot, with the security archive of the same time',
    request: { suite: 'trixie', mirror: snapshot },
    suites: [
      `${snapshot} trixie main`,
      `${snapshot} trixie-updates main`,
      'http://snapshot.test/archive/debian-security/20260101T000000Z trixie-security main',
    ],
    archives: [snapshot, 'http://snapshot.test/archive/debian-security/20260101T000000Z'],
    old: true,
  },
]) {
  it(`settleSources reads ${given}`, async (t) => {
    const { context, cache } = await openContext(t, undefined);
    const list =
      'deb http://mirror.test/debian bookworm main\ndeb http://security.test/debian-security bookworm-security main\n';
    await writeFile(join(cache, 'apt/sources.list'), list);
    const whole: PackageRequest = { onto: 'debian', arch: 'arm64', ...none, ...request };
    const sources = await settleSources(whole, context, join(cache, 'work'), '/nonexistent');
    const text = await readFile(sources.places.sourceList, 'utf8');
    const found = text
      .trimEnd()
      .split('\n')
      .map((line) => /^deb \[signed-by=\/\S+\] (.*)$/.exec(line)?.[1]);
    assert.deepEqual(found, suites);
    assert.deepEqual([sources.archives, sources.mayBeOld], [archives, old]);
  });
}
