import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { run } from '../../src/host/run.ts';
import type { Log } from '../../src/model/log.ts';
import type { Exporter } from '../../src/nfs/applied.ts';
import type { Export } from '../../src/nfs/export.ts';
import { openKernel } from '../../src/nfs/kernel.ts';
import { openNamespace, type PrivateNamespace } from '../../src/nfs/private-namespace.ts';
import { needPrograms } from './nfs-rack.ts';

/** The real exportfs, mount and umount, in a mount namespace where /etc/exports, /etc/exports.d and /var/lib/nfs are ours. */
const folder = mkdtempSync('/var/tmp/netboot-kernel-');
const exportsFolder = `${folder}/exports`;
const exportsFile = `${folder}/exports.d/netboot.exports`;
const foreignFile = `${folder}/etc-exports`;
const FOREIGN = `${exportsFolder}/www 10.1.0.0/16(ro,sync,subtree_check)\n/srv/theirs *(ro,sync,subtree_check)\n`;
const warnings: string[] = [];
const errors: string[] = [];
const log: Log = {
  debug() {},
  info() {},
  warn: (_, message) => warnings.push(message),
  error: (_, message) => errors.push(message),
};

let namespace: PrivateNamespace;
let exporter: Exporter;
const open = () =>
  openKernel({
    run: namespace.run,
    log,
    exportsFolder,
    generationsFolder: `${folder}/generations`,
    stateFolder: `${folder}/state`,
    exportsFile,
    foreignFile,
    mountInfoFile: `/proc/${namespace.pid}/mountinfo`,
  });

before(async () => {
  needPrograms('exportfs', 'mksquashfs', 'setpriv', 'unshare', 'nsenter');
  namespace = await openNamespace(run);
  const folders = ['exports.d', 'var', 'trees', 'generations', 'etc/exports.d', 'etc-work'];
  for (const name of folders) mkdirSync(`${folder}/${name}`, { recursive: true });
  writeFileSync(`${folder}/etc/exports`, '');
  writeFileSync(foreignFile, FOREIGN);
  const layers = `lowerdir=/etc,upperdir=${folder}/etc,workdir=${folder}/etc-work`;
  await namespace.run('mount', ['-t', 'overlay', '-o', layers, 'overlay', '/etc']);
  await namespace.run('mount', ['--bind', `${folder}/exports.d`, '/etc/exports.d']);
  await namespace.run('mount', ['--bind', foreignFile, '/etc/exports']);
  await namespace.run('mount', ['--bind', `${folder}/var`, '/var/lib/nfs']);
  exporter = open();
});

after(async () => {
  await namespace?.close();
  rmSync(folder, { recursive: true, force: true });
});

function seal(id: string): Export {
  const squashfs = `${folder}/generations/${id}/root.squashfs`;
  mkdirSync(`${folder}/trees/${id}`);
  mkdirSync(`${folder}/generations/${id}`);
  writeFileSync(`${folder}/trees/${id}/release`, id);
  execFileSync('mksquashfs', [`${folder}/trees/${id}`, squashfs, '-quiet', '-no-progress'], {
    stdio: 'ignore',
  });
  const options = [
    'ro',
    'sync',
    'no_root_squash',
    'no_subtree_check',
    'mp',
    'fsid=2f6d5a0e-0000-8000-a000-0123456789ab',
  ];
  return { path: `${exportsFolder}/images/${id}`, clients: ['10.77.0.0/24'], options, squashfs };
}
const www: Export = {
  path: `${exportsFolder}/www`,
  clients: ['10.77.0.0/24'],
  options: ['rw', 'sync', 'nohide', 'no_root_squash', 'subtree_check'],
};
const exported = async () => (await namespace.run('exportfs', ['-s'])).split('\n').sort();
const release = (entry: Export) => namespace.run('cat', [`${entry.path}/release`]);

test('exports roots and web content as exportfs understands them, beside the foreign lines', async () => {
  const web = seal('web-111111111111');
  const gone = {
    ...web,
    path: `${exportsFolder}/images/gone-222222222222`,
    squashfs: `${web.squashfs}.gone`,
  };
  await exporter.apply([gone, web, www]);
  assert.equal(await release(web), 'web-111111111111');
  const lines = await exported();
  const of = (path: string) => lines.filter((line) => line.startsWith(`${path} `)).join('\n');
  assert.match(of(web.path), /10\.77\.0\.0\/24\(sync,.*fsid=2f6d5a0e.*,mountpoint,.*ro,.*no_root_squash/);
  assert.match(of(www.path), /10\.77\.0\.0\/24\(sync,.*nohide.*,rw,.*no_root_squash/);
  assert.match(of(www.path), /10\.1\.0\.0\/16\(/, 'the foreign client of the same path is still there');
  // The second foreign line names no folder that exists: exportfs fails, and ours are exported all the same.
  assert.match(warnings.join(), /not ours: .*\/srv\/theirs/);
  assert.equal(readFileSync(foreignFile, 'utf8'), FOREIGN);
  assert.deepEqual(
    exporter.state().exports.map(({ problem }) => problem),
    [`its root ${gone.squashfs} is missing`, undefined, undefined],
  );
  assert.match(warnings.join(), /etc-exports:1 also exports .*\/www/);
});

test('the same list again changes nothing, and what stays is served since it was first', async () => {
  const since = exporter.state().exports[2]?.since;
  assert.ok(since);
  const text = readFileSync(exportsFile, 'utf8');
  const again = seal('again-333333333333');
  await exporter.apply([again, www]);
  assert.notEqual(readFileSync(exportsFile, 'utf8'), text);
  const state = exporter.state();
  await exporter.apply([again, www]);
  assert.deepEqual(exporter.state(), state);
  assert.equal(state.exports[1]?.since, since);
  assert.equal(warnings.filter((each) => each.includes('also exports')).length, 1);
});

test('a new process takes over what an earlier one left: wanted roots stay, the others go', async () => {
  const [kept, stale] = [seal('kept-444444444444'), seal('stale-555555555555')];
  await exporter.apply([kept, stale, www]);
  exporter = open();
  await exporter.apply([kept, www]);
  assert.equal(await release(kept), 'kept-444444444444');
  assert.ok(!existsSync(stale.path), 'its mount point is gone');
  assert.ok(!(await exported()).some((line) => line.includes('stale-')));
});

test('what nfsd finds unmounted when it starts before us is exported once it is mounted', async () => {
  const web = seal('early-666666666666');
  await exporter.apply([web, www]);
  await namespace.run('umount', [web.path]);
  // As the unit of nfsd does; it is rpc.mountd that looks whether it is mounted, whenever nfsd asks.
  await namespace.run('exportfs', ['-r']).catch(() => {});
  assert.ok((await exported()).some((line) => line.startsWith(web.path) && line.includes('mountpoint')));
  exporter = open();
  await exporter.apply([web, www]);
  assert.equal(await release(web), 'early-666666666666');
  assert.deepEqual(
    exporter.state().exports.map(({ problem }) => problem),
    [undefined, undefined],
  );
});

test('a problem is told once, however often it is tried again', async () => {
  const gone = { ...www, path: `${exportsFolder}/images/gone`, squashfs: `${folder}/generations/gone` };
  errors.length = 0;
  await exporter.apply([gone, www]);
  await exporter.apply([gone, www]);
  assert.equal(errors.length, 1, errors.join());
  await exporter.apply([www]);
  await exporter.apply([gone, www]);
  assert.equal(errors.length, 2, errors.join());
});

test('what lies outside the two folders is never exported, whoever asks', async () => {
  await exporter.apply([{ ...www, path: '/etc' }, { ...www, path: `${exportsFolder}/../../etc` }, www]);
  const [first, second, third] = exporter.state().exports;
  assert.match(first?.problem ?? '', /not below/);
  assert.match(second?.problem ?? '', /without "\." or "\.\."/);
  assert.equal(third?.problem, undefined);
  assert.ok(!(await exported()).some((line) => line.startsWith('/etc')));
});
