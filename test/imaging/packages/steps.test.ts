import assert from 'node:assert/strict';
import { cp, lstat, mkdir, readFile, realpath, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { run } from '../../../src/host/run.ts';
import { isolated, STEPS_FOLDER } from '../../../src/imaging/run/isolation.ts';
import { makeDeb, scratch } from './archive.ts';

const PROGRAMS = [
  '/bin/sh',
  ...['env', 'grep', 'dpkg', 'dpkg-query', 'dpkg-deb', 'true', 'rm', 'tar', 'diff'].map(
    (name) => `/usr/bin/${name}`,
  ),
  ...['ldconfig', 'start-stop-daemon'].map((name) => `/usr/sbin/${name}`),
];

/** A root that can configure packages: this machine's shell and dpkg, and the libraries they need. */
async function makeRoot(t: TestContext): Promise<{ root: string; work: string; debs: string }> {
  const top = await scratch(t);
  const root = join(top, 'root');
  for (const folder of [
    'usr/sbin',
    'etc',
    'proc',
    'sys',
    'dev',
    'tmp',
    'run',
    'var/lib/dpkg/info',
    'var/lib/dpkg/updates',
    'var/log',
  ])
    await mkdir(join(root, folder), { recursive: true });
  await writeFile(join(root, 'var/lib/dpkg/status'), '');
  for (const folder of ['bin', 'sbin', 'lib', 'lib64']) {
    await mkdir(join(root, 'usr', folder), { recursive: true });
    await symlink(join('usr', folder), join(root, folder));
  }
  const linked = await run('sh', ['-c', 'for program; do ldd "$program"; done; true', '-', ...PROGRAMS]);
  for (const path of new Set([...PROGRAMS, ...(linked.match(/\/\S+\.so\S*/g) ?? [])])) {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await cp(await realpath(path), join(root, path));
  }
  const work = join(top, 'work');
  const debs = join(top, 'debs');
  await mkdir(work);
  await mkdir(debs);
  return { root, work, debs };
}

/** steps/packages.sh on it, as a build runs it. @returns what it said. */
async function install(at: { root: string; work: string; debs: string }, removed = ''): Promise<string[]> {
  const said: string[] = [];
  const [program, args] = isolated('packages');
  const env = {
    ROOT: at.root,
    WORK: at.work,
    DEBS: at.debs,
    LIB: STEPS_FOLDER,
    EMULATE: '',
    REMOVED: removed,
    SOURCE_DATE_EPOCH: '1700000000',
  };
  await run(program, args, { env, onLine: (line) => void said.push(line) }).catch((error) => {
    throw Object.assign(error, { said });
  });
  return said;
}

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  );

describe('steps/packages.sh', {
  skip: process.geteuid?.() !== 0 && 'only root builds',
  concurrency: 1,
}, () => {
  it('installs packages, their scripts see no service start, nor what a later step does once', async (t) => {
    const at = await makeRoot(t);
    const postinst =
      '#!/bin/sh\nset -e\nupdate-initramfs -u\n/usr/sbin/policy-rc.d || echo "policy $?"\necho "$SOURCE_DATE_EPOCH $DEBIAN_FRONTEND $(env | grep -c WORK)"\n';
    const brought = { 'usr/sbin/update-initramfs': '#!/bin/sh\nexit 7\n', 'usr/share/x': 'x' };
    await makeDeb(at.debs, { name: 'low', files: { ...brought, 'DEBIAN/postinst': postinst } });
    await makeDeb(at.debs, { name: 'high', control: { Depends: 'low' } });
    const said = (await install(at)).join('\n');
    assert.match(said, /policy 101\n1700000000 noninteractive 0/);
    const status = await readFile(join(at.root, 'var/lib/dpkg/status'), 'utf8');
    assert.equal(status.match(/Status: install ok installed/g)?.length, 2);
    assert.equal(
      await readFile(join(at.root, 'usr/sbin/update-initramfs'), 'utf8'),
      brought['usr/sbin/update-initramfs'],
    );
    for (const path of [
      'usr/sbin/policy-rc.d',
      'usr/sbin/depmod',
      'usr/bin/systemd-hwdb',
      'usr/sbin/update-initramfs.diverted',
      'var/lib/dpkg/status-old',
      'var/log/dpkg.log',
      'proc/self',
    ])
      assert.equal(await exists(join(at.root, path)), false, path);
    assert.equal((await stat(join(at.root, 'etc/machine-id'))).size, 0);
  });

  it('keeps a program quiet that a package still has in /sbin, and puts it back', async (t) => {
    const at = await makeRoot(t);
    const files = {
      'sbin/depmod': '#!/bin/sh\nexit 7\n',
      'DEBIAN/postinst': '#!/bin/sh\ndepmod && echo quiet\n',
    };
    await makeDeb(at.debs, { name: 'kmod', files });
    assert.ok((await install(at)).includes('quiet'));
    assert.equal(await readFile(join(at.root, 'usr/sbin/depmod'), 'utf8'), files['sbin/depmod']);
    assert.doesNotMatch(await readFile(join(at.root, 'var/lib/dpkg/diversions'), 'utf8'), /depmod/);
  });

  it('ends with what a failing postinst said, and which package it was', async (t) => {
    const at = await makeRoot(t);
    const postinst = '#!/bin/sh\necho the disk of answers is empty >&2\nexit 3\n';
    await makeDeb(at.debs, { name: 'sad', files: { 'DEBIAN/postinst': postinst } });
    await makeDeb(at.debs, { name: 'waiting', control: { Depends: 'sad' } });
    await makeDeb(at.debs, { name: 'well' });
    const error = await install(at).then(
      () => assert.fail(),
      (thrown: Error & { said: string[] }) => thrown,
    );
    assert.deepEqual(error.said.slice(-3), [
      'the package sad cannot be configured, its script said last:',
      '  the disk of answers is empty',
      '  installed sad package post-installation script subprocess returned error exit status 3',
    ]);
    assert.equal(await exists(join(at.root, 'proc/self')), false);
  });

  it('goes on where a script failed once', async (t) => {
    const at = await makeRoot(t);
    const postinst = '#!/bin/sh\n[ -e /var/once ] || { : >/var/once; kill -SEGV $$; }\n';
    await makeDeb(at.debs, { name: 'flaky', files: { 'DEBIAN/postinst': postinst } });
    const said = await install(at);
    assert.ok(said.includes('configuring failed, once more'));
    assert.match(
      await readFile(join(at.root, 'var/lib/dpkg/status'), 'utf8'),
      /Status: install ok installed/,
    );
  });

  it('removes packages with their settings before it adds those that exclude them', async (t) => {
    const at = await makeRoot(t);
    const files = {
      'etc/old.conf': 'x',
      'DEBIAN/conffiles': '/etc/old.conf\n',
      'DEBIAN/postrm': '#!/bin/sh\necho "old: $1"\n',
    };
    await makeDeb(at.debs, { name: 'old', files });
    await install(at);
    assert.ok(await exists(join(at.root, 'etc/old.conf')));
    await run('rm', [join(at.debs, 'old_1.0_all.deb')]);
    await makeDeb(at.debs, { name: 'new', control: { Conflicts: 'old' } });
    const said = await install(at, 'old');
    assert.ok(said.includes('old: purge'));
    assert.equal(await exists(join(at.root, 'etc/old.conf')), false);
    const status = await readFile(join(at.root, 'var/lib/dpkg/status'), 'utf8');
    assert.match(status, /Package: new\nStatus: install ok installed/);
    assert.doesNotMatch(status, /Package: old/);
  });

  it('gives maintainer scripts no right to set file capabilities, which NFS could not store', async (t) => {
    const at = await makeRoot(t);
    const postinst =
      '#!/bin/sh\nwhile read -r key value; do [ "$key" != CapBnd: ] || echo "bound $value"; done </proc/self/status\n';
    await makeDeb(at.debs, { name: 'pinger', files: { 'DEBIAN/postinst': postinst } });
    const bound = /bound ([0-9a-f]+)/.exec((await install(at)).join('\n'))?.[1] ?? '';
    assert.equal(BigInt(`0x${bound}`) & (1n << 31n), 0n, 'CAP_SETFCAP is number 31');
    assert.notEqual(BigInt(`0x${bound}`) & (1n << 0n), 0n, 'CAP_CHOWN is there');
  });

  it('leaves documentation out where the root says so', async (t) => {
    const at = await makeRoot(t);
    await mkdir(join(at.root, 'etc/dpkg/dpkg.cfg.d'), { recursive: true });
    await writeFile(join(at.root, 'etc/dpkg/dpkg.cfg.d/netboot'), 'path-exclude=/usr/share/doc/*\n');
    await makeDeb(at.debs, {
      name: 'wordy',
      files: { 'usr/share/doc/wordy/README': 'x', 'usr/share/wordy': 'x' },
    });
    await install(at);
    assert.equal(await exists(join(at.root, 'usr/share/doc/wordy')), false);
    assert.ok(await exists(join(at.root, 'usr/share/wordy')));
  });
});
