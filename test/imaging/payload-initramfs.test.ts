import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { tinyModule } from './tiny-module.ts';

const exec = promisify(execFile);
const IMAGING = join(import.meta.dirname, '../../src/imaging');
const KERNEL = '6.12.1-test';
const EPOCH = 1_700_000_000;

/** What a root has that an initramfs is made of: modules that need each other, one of them built in, and programs. */
async function makeRoot(folder: string): Promise<string> {
  const root = join(folder, 'root');
  const put = async (path: string, content: string | Buffer) => {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), content, { mode: 0o755 });
  };
  const modules = `usr/lib/modules/${KERNEL}`;
  const module = (path: string, ...rest: Parameters<typeof tinyModule>) =>
    put(`${modules}/kernel/${path}.ko`, tinyModule(...rest));
  await module('net/sunrpc', { exports: ['rpc_call'] });
  await module('fs/nfs', { exports: ['nfs_register'], needs: ['rpc_call'] });
  await module('fs/nfsv3', { needs: ['nfs_register'] });
  await module('fs/nfsv4', { needs: ['nfs_register'] });
  await module('fs/jbd2', { exports: ['jbd2_start'] });
  await module('fs/ext4', { needs: ['jbd2_start'] });
  await module('fs/squashfs', {});
  await module('drivers/loop', {});
  await exec('xz', [join(root, modules, 'kernel/drivers/loop.ko')]);
  await module('net/libphy', { exports: ['phy_connect'] });
  await module('net/genet', {
    needs: ['phy_connect'],
    info: { alias: 'of:N*T*Cbrcm,bcm2711-genet-v5', firmware: 'genet/a.fw' },
  });
  await module('net/unwanted', { info: { alias: 'pci:v1d1' } });
  await put(`${modules}/modules.order`, '');
  await put(`${modules}/modules.builtin`, 'kernel/fs/overlay.ko\n');
  await put(`${modules}/modules.builtin.modinfo`, '');
  await symlink('usr/lib', join(root, 'lib'));
  await exec('depmod', ['--basedir', root, KERNEL]);
  await put('usr/lib/firmware/genet/a.fw', 'firmware');
  await put('usr/bin/busybox', 'a static one');
  for (const program of ['ipconfig', 'nfsmount', 'run-init'])
    await put(`usr/lib/klibc/bin/${program}`, program);
  await put('usr/lib/klibc-abc.so', 'library');
  return root;
}

describe('the initramfs', () => {
  let folder: string;
  let root: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'netboot-initramfs-'));
    root = await makeRoot(folder);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** Runs steps/initramfs.sh as the engine does, natively; gives what it said. */
  async function make(name: string, { modules = '', drivers = 'genet', from = root } = {}): Promise<string> {
    const work = join(folder, `work-${name}`);
    const input = join(folder, `input-${name}`);
    const out = join(folder, name);
    for (const made of [work, input, out]) await mkdir(made);
    await writeFile(join(input, 'init'), await readFile(join(IMAGING, 'initramfs/init')));
    await writeFile(join(input, 'drivers'), `# of a test\n${drivers}\n`);
    const env = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      LC_ALL: 'C.UTF-8',
      ...{ ROOT: from, INPUT: input, OUT: out, WORK: work, ARCH: 'arm64', INITRAMFS: 'initramfs8' },
      ...{ MODULES: modules, SOURCE_DATE_EPOCH: String(EPOCH) },
    };
    const script = join(IMAGING, 'steps/initramfs.sh');
    const { stdout } = await exec('sh', ['-eu', script], { env, cwd: work });
    return stdout;
  }

  const archive = (name: string) => join(folder, name, 'initramfs8');
  async function list(name: string, ...options: string[]): Promise<string[]> {
    const script = 'archive=$1; shift; zstd -qdc "$archive" | cpio --quiet --list "$@"';
    const { stdout } = await exec('bash', ['-euc', script, 'bash', archive(name), ...options]);
    return stdout.split('\n').filter((line) => line !== '');
  }
  const modulesOf = async (name: string) =>
    (await list(name))
      .filter((path) => path.endsWith('.ko'))
      .map((path) => path.replace(/^.*\/kernel\//, ''));

  it('has init, busybox, the network programs, and of the modules those that are needed', async () => {
    await make('plain');
    const files = await list('plain');
    for (const path of [
      'init',
      'bin/busybox',
      'bin/sh',
      'bin/ipconfig',
      'bin/nfsmount',
      'bin/run-init',
      'sbin',
    ])
      assert.ok(files.includes(path), path);
    assert.ok(files.includes('lib/klibc-abc.so'), 'where klibc looks for it: /usr is the root itself');
    assert.ok(files.includes('lib/firmware/genet/a.fw'), 'what a network card wants');
    assert.deepEqual(await modulesOf('plain'), [
      'drivers/loop.ko',
      'fs/ext4.ko',
      'fs/jbd2.ko',
      'fs/nfs.ko',
      'fs/nfsv3.ko',
      'fs/nfsv4.ko',
      'fs/squashfs.ko',
      'net/genet.ko',
      'net/libphy.ko',
      'net/sunrpc.ko',
    ]);
  });

  it('says in its own index what a device and a module need', async () => {
    const script = 'zstd -qdc "$1" | cpio --quiet --extract --to-stdout "lib/modules/*/$2"';
    const read = async (index: string) =>
      (await exec('bash', ['-euc', script, 'bash', archive('plain'), index])).stdout;
    assert.match(await read('modules.alias'), /^alias of:N\*T\*Cbrcm,bcm2711-genet-v5 genet$/m);
    assert.doesNotMatch(await read('modules.alias'), /unwanted/);
    assert.match(
      await read('modules.dep'),
      /^kernel\/fs\/nfsv3\.ko: kernel\/fs\/nfs\.ko kernel\/net\/sunrpc\.ko$/m,
    );
  });

  it('belongs to root and is of the time of the build', async () => {
    const long = await list('plain', '--verbose', '--numeric-uid-gid');
    for (const line of long) assert.match(line, /^\S+ +\d+ +0 +0 .* Nov 1[45] +2023 /, line);
    assert.ok(long.some((line) => /^-rwxr-xr-x .* init$/.test(line)));
  });

  it('is the same, byte for byte, from the same root, whenever its files were copied', async () => {
    await utimes(join(root, 'usr/bin/busybox'), 1, 1);
    await make('again');
    const hashes = await Promise.all(
      ['plain', 'again'].map(async (name) =>
        createHash('sha256')
          .update(await readFile(archive(name)))
          .digest('hex'),
      ),
    );
    assert.equal(hashes[0], hashes[1]);
  });

  it('takes what the recipe adds, and says which of it the kernel lacks', async () => {
    await make('more', { modules: 'unwanted overlay' });
    assert.ok((await modulesOf('more')).includes('net/unwanted.ko'));
    await assert.rejects(
      make('missing', { modules: 'btrfs' }),
      /the kernel 6\.12\.1-test has no module btrfs/,
    );
  });

  it('does without drivers that this kernel has not got, and says so', async () => {
    assert.match(await make('fewer', { drivers: 'genet macb' }), /has no module macb: left out/);
  });

  it('says which package is missing', async () => {
    for (const [path, remedy] of [
      ['usr/bin/busybox', /no busybox.*add the package busybox-static/],
      ['usr/lib/klibc/bin/ipconfig', /no klibc ipconfig.*add the package klibc-utils/],
      [`usr/lib/modules/${KERNEL}/modules.order`, /no kernel modules: is linux-image-/],
    ] as const) {
      const other = join(folder, `root-without-${path.split('/').at(-1)}`);
      await exec('cp', ['-a', root, other]);
      await rm(join(other, path));
      await assert.rejects(make(`without-${path.split('/').at(-1)}`, { from: other }), remedy);
    }
  });

  it('is made for one kernel', async () => {
    const other = join(folder, 'root-of-two');
    await exec('cp', ['-a', root, other]);
    await exec('cp', ['-a', join(other, `usr/lib/modules/${KERNEL}`), join(other, 'usr/lib/modules/7.0')]);
    await assert.rejects(
      make('two', { from: other }),
      /must be one kernel in the image, found: 6\.12\.1-test 7\.0/,
    );
  });
});
