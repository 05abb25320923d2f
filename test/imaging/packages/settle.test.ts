import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { PackageContext } from '../../../src/imaging/packages/context.ts';
import { settlePackages } from '../../../src/imaging/packages/settle.ts';
import {
  type Archive,
  makeDeb,
  openArchive,
  openContext,
  requestTo,
  scratch,
  type TinyPackage,
} from './archive.ts';

const world: readonly TinyPackage[] = [
  { name: 'base-files', control: { Essential: 'yes', Priority: 'required' } },
  { name: 'login', control: { Priority: 'required' } },
  { name: 'apt' },
  {
    name: 'nginx',
    version: '1:1.26-3',
    architecture: 'amd64',
    control: { Depends: 'nginx-common', Recommends: 'extra' },
  },
  { name: 'nginx-common', version: '2.0+x~1' },
  { name: 'extra' },
  { name: 'loader', version: '3', control: { Depends: 'nowhere' } },
  { name: 'broken', control: { Depends: 'nowhere (>= 2)' } },
  { name: 'rival', control: { Conflicts: 'nginx' } },
];

const names = (packages: readonly { name: string; version: string; architecture: string }[]) =>
  packages.map(({ name, version, architecture }) => `${name} ${version} ${architecture}`);

/** A root with these packages installed, and files. */
async function makeRoot(
  t: TestContext,
  installed: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>> = {},
): Promise<{ root: string; copyFromRoot: NonNullable<PackageContext['copyFromRoot']> }> {
  const root = await scratch(t);
  const status = Object.entries(installed).map(
    ([name, version]) =>
      `Package: ${name}\nStatus: install ok installed\nArchitecture: all\nVersion: ${version}\n`,
  );
  for (const [path, text] of Object.entries({ 'var/lib/dpkg/status': status.join('\n'), ...files })) {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), text);
  }
  const copyFromRoot = async (paths: readonly string[], target: string) => {
    for (const path of paths)
      await cp(join(root, path), join(target, path), { recursive: true }).catch(() => undefined);
  };
  return { root, copyFromRoot };
}

describe('settlePackages', { concurrency: 1 }, () => {
  let archive: Archive;
  before(async () => {
    archive = await openArchive(world);
  });
  after(() => archive[Symbol.asyncDispose]());

  it('takes essential and required packages, apt, what is asked for and what that needs', async (t) => {
    const { context, cache } = await openContext(t, archive);
    const section = await settlePackages(requestTo(archive, { add: ['nginx'] }), context);
    assert.deepEqual(names(section.packages), [
      'apt 1.0 all',
      'base-files 1.0 all',
      'login 1.0 all',
      'nginx 1:1.26-3 amd64',
      'nginx-common 2.0+x~1 all',
    ]);
    assert.deepEqual(section.removed, []);
    assert.deepEqual(await readdir(join(cache, 'work')), [], 'nothing is left');
    assert.deepEqual(await readdir(join(cache, 'downloads')), [], 'nothing is fetched');
  });

  it('takes a package that is only to be fetched without what it needs', async (t) => {
    const { context } = await openContext(t, archive);
    const { packages } = await settlePackages(requestTo(archive, { fetchOnly: ['loader'] }), context);
    assert.deepEqual(names(packages), ['loader 3 all']);
    assert.equal(packages[0]?.purpose, 'fetch only');
    assert.equal(packages[0]?.filename, 'pool/loader_3_all.deb');
    assert.match(packages[0]?.sha256 ?? '', /^[0-9a-f]{64}$/);
  });

  it('onto a root adds what is missing, removes, and brings up to date only when told', async (t) => {
    const { context } = await openContext(t, archive);
    const { copyFromRoot } = await makeRoot(t, {
      apt: '1.0',
      'base-files': '1.0',
      'nginx-common': '1.9',
      extra: '0.1',
      login: '1.0',
    });
    const ask = (changes: Parameters<typeof requestTo>[1]) =>
      settlePackages(requestTo(archive, { onto: 'root', ...changes }), { ...context, copyFromRoot });

    const added = await ask({ add: ['nginx', 'login'] });
    assert.deepEqual([names(added.packages), added.removed], [['nginx 1:1.26-3 amd64'], []]);
    const removed = await ask({ add: ['rival'], remove: ['extra', 'login'] });
    assert.deepEqual([names(removed.packages), removed.removed], [['rival 1.0 all'], ['extra', 'login']]);
    const upgraded = await ask({ upgrade: true });
    assert.deepEqual(names(upgraded.packages), ['extra 1.0 all', 'nginx-common 2.0+x~1 all']);
    const nothing = await ask({});
    assert.deepEqual(nothing, { packages: [], removed: [] });
  });

  it('asks the archive once per build, and remembers its lists between builds', async (t) => {
    const { context } = await openContext(t, archive);
    const asOf = new Date(Date.now() - 1000);
    await settlePackages(requestTo(archive), { ...context, asOf });
    const before = archive.requests.length;
    await settlePackages(requestTo(archive, { add: ['nginx'] }), { ...context, asOf });
    assert.equal(archive.requests.length, before);
    await settlePackages(requestTo(archive), context);
    assert.ok(archive.requests.length > before);
  });

  it("takes packages beside the recipe, before the archive's of the same version, and what they need", async (t) => {
    const { context, cache } = await openContext(t, archive);
    const own = await makeDeb(cache, { name: 'own', version: '7', control: { Depends: 'nginx-common' } });
    const patched = await makeDeb(cache, { name: 'extra', files: { 'usr/patched': 'x' } });
    const section = await settlePackages(requestTo(archive, { local: [own, patched] }), context);
    const found = section.packages.filter(({ filename }) => !filename.includes('/'));
    assert.deepEqual(names(found), ['extra 1.0 all', 'own 7 all']);
    assert.ok(section.packages.some(({ name }) => name === 'nginx-common'));
  });

  it('installs packages beside the recipe where no archive can be reached', async (t) => {
    const { context, cache, said } = await openContext(t, archive);
    t.after(() => archive.revive());
    archive.dieAfter(0);
    const { copyFromRoot } = await makeRoot(t, { 'nginx-common': '2' });
    const own = await makeDeb(cache, { name: 'own', control: { Depends: 'nginx-common' } });
    const request = requestTo(archive, { onto: 'root', local: [own] });
    assert.deepEqual(names((await settlePackages(request, { ...context, copyFromRoot })).packages), [
      'own 1.0 all',
    ]);
    assert.match(said.join('\n'), /cannot be reached.*only packages beside the recipe are used/);

    const needy = await makeDeb(cache, { name: 'needy', control: { Depends: 'far-away' } });
    await assert.rejects(
      settlePackages({ ...request, local: [needy] }, { ...context, copyFromRoot }),
      /needy : Depends: far-away/,
    );
  });

  it("without a suite goes by the root's own sources, keys and pins", async (t) => {
    const { context } = await openContext(t, archive);
    const key = '/usr/share/keyrings/tiny.gpg';
    const { root, copyFromRoot } = await makeRoot(
      t,
      { login: '1.0' },
      {
        'etc/apt/sources.list': '# nothing here\n',
        'etc/apt/sources.list.d/tiny.sources': `Types: deb deb-src\nURIs: ${archive.uri}\nSuites: test\nComponents: main\nSigned-By: ${key}\n`,
        'usr/share/keyrings/none': '',
      },
    );
    await cp(archive.keyring, join(root, key));
    const { suite, mirror, ...rest } = requestTo(archive, { onto: 'root', add: ['nginx'] });
    const section = await settlePackages(rest, { ...context, keyring: '/nonexistent', copyFromRoot });
    assert.deepEqual(names(section.packages), ['nginx 1:1.26-3 amd64', 'nginx-common 2.0+x~1 all']);
    assert.ok(suite && mirror);
  });

  for (const { given, request, expect } of [
    {
      given: 'a package that does not exist',
      request: { add: ['nginx', 'ngnix'] },
      expect: /there is no package "ngnix"\. Correct its name under "packages" in the recipe/,
    },
    {
      given: 'a name that is no pattern here',
      request: { add: ['ngin.'] },
      expect: /there is no package "ngin\."/,
    },
    {
      given: 'a package to fetch that does not exist',
      request: { fetchOnly: ['ipxe'] },
      expect: /no package "ipxe"/,
    },
    {
      given: 'a dependency that cannot be met',
      request: { add: ['broken'] },
      expect: /broken : Depends: nowhere \(>= 2\)/,
    },
    {
      given: 'packages that exclude each other',
      request: { add: ['rival', 'nginx'] },
      expect: /do not go together: .*Conflicts: nginx/,
    },
    {
      given: 'a suite that does not exist',
      request: { suite: 'nosuch' },
      expect: /^The packages of nosuch \(amd64\): http:\S+ has no suite "nosuch"\. Correct "base\.debian"/,
    },
    {
      given: 'a file that is no package',
      request: { local: [import.meta.filename] },
      expect: /settle\.test\.ts is no Debian package/,
    },
    {
      given: 'a file that is missing',
      request: { local: ['/nonexistent/x.deb'] },
      expect: /^\/nonexistent\/x\.deb cannot be read/,
    },
  ]) {
    it(`refuses ${given}, in a line`, async (t) => {
      const { context, cache } = await openContext(t, archive);
      await assert.rejects(settlePackages(requestTo(archive, request), context), (error: Error) => {
        assert.equal(error.name, 'Refusal');
        assert.match(error.message, expect);
        assert.ok(!error.message.includes('\n'));
        return true;
      });
      assert.deepEqual(await readdir(join(cache, 'work')), []);
    });
  }

  it('refuses a package of another architecture beside the recipe', async (t) => {
    const { context, cache } = await openContext(t, archive);
    const own = await makeDeb(cache, { name: 'own', architecture: 'arm64' });
    await assert.rejects(
      settlePackages(requestTo(archive, { local: [own] }), context),
      /own_1\.0_arm64\.deb is for arm64, the image is for amd64/,
    );
  });

  it('refuses an archive that nobody signed, or another key than the known', async (t) => {
    const { context } = await openContext(t, archive);
    t.after(() => archive.publish());
    await archive.publish({ sign: false });
    await assert.rejects(
      settlePackages(requestTo(archive), context),
      /is not signed by a key this host knows/,
    );
    await using other = await openArchive([]);
    await archive.publish();
    await assert.rejects(
      settlePackages(requestTo(archive), { ...context, keyring: other.keyring }),
      /is not signed by a key this host knows/,
    );
  });

  it('refuses when the mirror is gone, and when it goes half way; the next try succeeds', async (t) => {
    const { context } = await openContext(t, archive);
    t.after(() => archive.revive());
    archive.dieAfter(1000);
    await assert.rejects(
      settlePackages(requestTo(archive), context),
      /the mirror 127\.0\.0\.1 cannot be reached/,
    );
    await assert.rejects(
      settlePackages(requestTo(archive), context),
      /the mirror 127\.0\.0\.1 cannot be reached/,
    );
    await archive.revive();
    assert.equal((await settlePackages(requestTo(archive), context)).packages.length, 3);
  });

  it('takes over how the host reaches archives, and nothing else of its apt', async (t) => {
    const { context, cache } = await openContext(t, archive);
    const conf = join(cache, 'apt/apt.conf.d/proxy');
    await writeFile(conf, 'Acquire::http::Proxy "http://127.0.0.1:9";\n');
    await assert.rejects(settlePackages(requestTo(archive), context), /cannot be reached/);
    await writeFile(conf, 'APT::Update::Pre-Invoke { "false"; };\nAPT::Install-Recommends "true";\n');
    const { packages } = await settlePackages(requestTo(archive, { add: ['nginx'] }), context);
    assert.ok(!packages.some(({ name }) => name === 'extra'));
    assert.match(await readFile(conf, 'utf8'), /Pre-Invoke/);
  });
});
