import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { type TestContext, test } from 'node:test';
import { run } from '../../src/host/run.ts';
import { openNamespace } from '../../src/nfs/private-namespace.ts';
import { mountSealed, unmount } from '../../src/nfs/sealed-mount.ts';
import { needPrograms, until } from './nfs-rack.ts';

/** A sealed root with one file, and as many mount namespaces as there are appliances on this machine. */
async function setUp(t: TestContext, appliances: number) {
  needPrograms('mksquashfs', 'perl', 'setpriv', 'unshare', 'nsenter');
  const folder = mkdtempSync('/var/tmp/netboot-sealed-');
  for (const name of ['tree', 'web-111111111111', 'one', 'two']) mkdirSync(`${folder}/${name}`);
  writeFileSync(`${folder}/tree/release`, 'web\n');
  const squashfs = `${folder}/web-111111111111/root.squashfs`;
  execFileSync('mksquashfs', [`${folder}/tree`, squashfs, '-quiet', '-no-progress'], { stdio: 'ignore' });
  const namespaces = await Promise.all(Array.from({ length: appliances }, () => openNamespace(run)));
  t.after(async () => {
    for (const namespace of namespaces) await namespace.close();
    await until('no loop device is left', () => devices().length === 0);
    rmSync(folder, { recursive: true });
  });
  /** Numbers of the loop devices on files of ours. */
  const devices = () =>
    readdirSync('/sys/block').filter((name) => {
      try {
        return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').startsWith(folder);
      } catch {
        return false;
      }
    });
  return { folder, squashfs, runs: namespaces.map((namespace) => namespace.run), devices };
}

test('two appliances mount one file at paths of their own, from a device each', async (t) => {
  const { folder, squashfs, runs, devices } = await setUp(t, 2);
  for (const [index, path] of [`${folder}/one`, `${folder}/two`].entries()) {
    const namespace = runs[index];
    assert.ok(namespace);
    await mountSealed(namespace, squashfs, path);
    assert.equal(await namespace('cat', [`${path}/release`]), 'web');
  }
  assert.equal(devices().length, 2);
});

test('two appliances mount one file at the same path, from the same device, until the last is gone', async (t) => {
  const { folder, squashfs, runs, devices } = await setUp(t, 2);
  const path = `${folder}/one`;
  for (const each of runs) await mountSealed(each, squashfs, path);
  assert.equal(devices().length, 1);
  const [first, second] = runs;
  assert.ok(first && second);
  await unmount(first, path);
  assert.equal(await second('cat', [`${path}/release`]), 'web');
  await unmount(second, path);
  await until('the device is let go', () => devices().length === 0);
});

test('asked for an ACL, a sealed root says that there is none, not that there cannot be', async (t) => {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (major < 6 || (major === 6 && minor < 2)) return t.skip('Linux 6.1 asks the file system itself');
  const { folder, squashfs, runs } = await setUp(t, 1);
  const path = `${folder}/one`;
  const [namespace] = runs;
  assert.ok(namespace);
  await mountSealed(namespace, squashfs, path);
  const getxattr = { x64: '191', arm64: '8' }[process.arch as string];
  assert.ok(getxattr, 'the number of getxattr(2) is known');
  const ask = `my ($call, $file, $name, $value) = (@ARGV, 'system.posix_acl_access', "\\0" x 132);
    print syscall($call + 0, $file, $name, $value, 132) == -1 && $!{ENODATA} ? 'none' : "$!";`;
  assert.equal(await namespace('perl', ['-e', ask, getxattr, `${path}/release`]), 'none');
});

test('what cannot be mounted is told with its reason, and leaves no device', async (t) => {
  const { folder, squashfs, runs, devices } = await setUp(t, 1);
  const [namespace] = runs;
  assert.ok(namespace);
  await assert.rejects(mountSealed(namespace, `${squashfs}.gone`, `${folder}/one`), /No such file/);
  writeFileSync(squashfs, Buffer.alloc(65536));
  await assert.rejects(mountSealed(namespace, squashfs, `${folder}/one`), /cannot be mounted at/);
  await until('no device is left', () => devices().length === 0);
});
