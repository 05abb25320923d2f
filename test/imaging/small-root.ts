import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);

const APPLETS =
  'sh ls cat echo mkdir rm touch sleep cp mv ln chmod chown env true false id date sync dd'.split(' ');

/** A root of this host's busybox and the libraries it needs, as a tar archive: its image is built in seconds. */
export async function smallTarball(file: string): Promise<string> {
  const root = `${file}.root`;
  for (const folder of ['bin', 'etc/ssh', 'usr/lib', 'usr/sbin', 'var/lib/dpkg', 'var/log', 'home', 'boot'])
    await mkdir(join(root, folder), { recursive: true });
  const { stdout: busybox } = await exec('sh', ['-c', 'command -v busybox']);
  await cp(busybox.trim(), join(root, 'bin/busybox'));
  const { stdout: libraries } = await exec('sh', ['-c', 'ldd "$(command -v busybox)" 2>/dev/null || :']);
  for (const [library] of libraries.matchAll(/\/\S+/g)) {
    await mkdir(dirname(join(root, library)), { recursive: true });
    await cp(library, join(root, library), { dereference: true });
  }
  for (const applet of APPLETS) await symlink('busybox', join(root, 'bin', applet));
  await mkdir(join(root, 'usr/bin'), { recursive: true });
  await symlink('../../bin/busybox', join(root, 'usr/bin/env'));
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/:/bin/false\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nwww:x:33:\nadm:x:4:\n');
  await writeFile(join(root, 'etc/shadow'), 'root:*:20000::::::\n', { mode: 0o640 });
  await writeFile(join(root, 'etc/hostname'), 'small\n');
  await writeFile(join(root, 'usr/lib/os-release'), 'ID=debian\nVERSION_CODENAME=trixie\n');
  await writeFile(join(root, 'var/lib/dpkg/status'), '');
  await writeFile(join(root, 'boot/vmlinuz-6.12.0'), 'a kernel');
  await chmod(join(root, 'bin/busybox'), 0o755);
  // A program with a file capability, as Debian's ping once had one.
  await cp(join(root, 'bin/busybox'), join(root, 'usr/bin/pinging'));
  await exec('setcap', ['cap_net_raw=ep', join(root, 'usr/bin/pinging')]);
  await exec('tar', [
    '--xattrs',
    '--xattrs-include=security.capability',
    '-C',
    root,
    '--sort=name',
    '--mtime=@1700000000',
    '--owner=0',
    '--group=0',
    '-czf',
    file,
    '.',
  ]);
  await rm(root, { recursive: true });
  const { stdout } = await exec('sha256sum', [file]);
  return stdout.slice(0, 64);
}
