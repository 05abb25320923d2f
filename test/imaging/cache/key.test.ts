import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Definition, definitionKey, layerKey } from '../../../src/imaging/cache/key.ts';
import { readScripts } from '../../../src/imaging/cache/scripts.ts';
import type { LockedPackage, Step } from '../../../src/imaging/plan/step.ts';
import { knownSection } from '../../../src/imaging/run/package-steps.ts';

const hex = (digit: string) => digit.repeat(64);

const nginx: LockedPackage = {
  name: 'nginx',
  version: '1.26-1',
  architecture: 'arm64',
  sha256: hex('1'),
  size: 1000,
  filename: 'pool/main/n/nginx.deb',
  purpose: 'install',
};

const step: Step = {
  id: 'web/packages',
  name: 'install 1 package',
  script: 'packages',
  variables: { PACKAGES: 'nginx' },
  inputs: [],
  output: 'layer',
  packages: {
    onto: 'root',
    arch: 'arm64',
    add: ['nginx'],
    remove: [],
    upgrade: false,
    fetchOnly: [],
    local: [],
  },
};

const definition: Definition = {
  step,
  arch: 'arm64',
  scripts: { 'enter.sh': hex('a'), 'packages.sh': hex('b') },
  inputs: [{ path: 'x', kind: 'file', mode: 0o644, sha256: hex('c') }],
  section: { packages: [nginx], removed: [] },
};

/** What is no part of what a step is, and what is. */
const SAME: Record<string, Definition> = {
  'its id': { ...definition, step: { ...step, id: 'other/packages' } },
  'its title': { ...definition, step: { ...step, name: 'other' } },
  'where packages come from': {
    ...definition,
    step: { ...step, packages: { ...(step.packages as object), mirror: 'http://mirror.test' } as never },
    section: { packages: [{ ...nginx, filename: 'elsewhere.deb' }], removed: [] },
  },
};
const OTHER: Record<string, Definition> = {
  'its script': { ...definition, scripts: { ...definition.scripts, 'packages.sh': hex('d') } },
  'what every script goes through': {
    ...definition,
    scripts: { ...definition.scripts, 'enter.sh': hex('d') },
  },
  'a variable': { ...definition, step: { ...step, variables: { PACKAGES: 'htop' } } },
  'the content of an input': {
    ...definition,
    inputs: [{ path: 'x', kind: 'file', mode: 0o644, sha256: hex('d') }],
  },
  'the mode of an input': {
    ...definition,
    inputs: [{ path: 'x', kind: 'file', mode: 0o600, sha256: hex('c') }],
  },
  'the name of an input': {
    ...definition,
    inputs: [{ path: 'y', kind: 'file', mode: 0o644, sha256: hex('c') }],
  },
  'a link in place of a file': {
    ...definition,
    inputs: [{ path: 'x', kind: 'link', mode: 0o644, sha256: hex('c') }],
  },
  'the bytes of a package': {
    ...definition,
    section: { packages: [{ ...nginx, sha256: hex('2') }], removed: [] },
  },
  'one more package': {
    ...definition,
    section: { packages: [nginx, { ...nginx, name: 'htop', sha256: hex('3') }], removed: [] },
  },
  'a package that goes': { ...definition, section: { packages: [nginx], removed: ['htop'] } },
  'what a package is for': {
    ...definition,
    section: { packages: [{ ...nginx, purpose: 'fetch only' }], removed: [] },
  },
  'the architecture': { ...definition, arch: 'armhf' },
  'the network': { ...definition, step: { ...step, network: true } },
  'its source': {
    ...definition,
    step: { ...step, source: { kind: 'tarball', file: '/a', sha256: hex('4') } },
  },
};

describe('definitionKey', () => {
  for (const [what, other] of Object.entries(SAME))
    it(`is the same with another ${what}`, () =>
      assert.equal(definitionKey(other), definitionKey(definition)));
  for (const [what, other] of Object.entries(OTHER))
    it(`is another one with ${what}`, () => assert.notEqual(definitionKey(other), definitionKey(definition)));

  it('does not look at the order of maps', () => {
    const pairs = fc.uniqueArray(fc.tuple(fc.string(), fc.string()), { selector: ([key]) => key });
    fc.assert(
      fc.property(pairs, (list) => {
        const of = (entries: typeof list) =>
          definitionKey({ ...definition, step: { ...step, variables: Object.fromEntries(entries) } });
        assert.equal(of(list), of(list.toReversed()));
      }),
    );
  });

  it('makes another layer on another parent', () => {
    const key = definitionKey(definition);
    assert.notEqual(layerKey(key, 'a'), layerKey(key, 'b'));
    assert.notEqual(layerKey(key, 'a'), layerKey(key, undefined));
  });
});

it('knows a step by all scripts it goes through, at any depth', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'netboot-scripts-'));
  t.after(() => rm(folder, { recursive: true }));
  const write = (name: string, text: string) => writeFile(join(folder, name), text);
  await write('enter.sh', '. "$LIB/$step.sh"');
  await write('a.sh', '. "$LIB/b.sh"; sh "$LIB"/c.sh');
  await write('b.sh', 'awk -f "$LIB/d.awk"');
  await write('c.sh', '. "$LIB/a.sh"');
  await write('d.awk', '{ print }');
  const before = await readScripts(folder, 'a');
  assert.deepEqual(Object.keys(before).toSorted(), ['a.sh', 'b.sh', 'c.sh', 'd.awk', 'enter.sh']);
  await write('d.awk', '{ print 1 }');
  assert.notDeepEqual(await readScripts(folder, 'a'), before);
});

describe('a lock', () => {
  const lock = {
    version: 1,
    image: 'web',
    steps: { 'web/packages': { packages: [nginx], removed: [] } },
  } as const;
  const from = { cache: '/nonexistent', lock };

  it('says what a step has', async () => {
    assert.equal(await knownSection(step, 'parent', from), lock.steps['web/packages']);
  });
  it('is refused when the recipe asks for more', async () => {
    const more = {
      ...step,
      packages: { ...(step.packages as NonNullable<Step['packages']>), add: ['htop'] },
    };
    await assert.rejects(
      knownSection(more, 'parent', from),
      /no "htop", which web\/packages asks for\. Build without/,
    );
    await assert.rejects(
      knownSection({ ...step, id: 'web/other' }, 'parent', from),
      /has nothing for web\/other/,
    );
  });
});
