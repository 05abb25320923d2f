import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';

/** Where test/e2e/full.test.ts leaves the image it builds. */
const GENERATIONS = process.env.NETBOOT_TEST_GENERATIONS ?? '/var/cache/netboot/generations';

const [newest] = globSync('web-*/root.squashfs', { cwd: GENERATIONS })
  .map((path) => `${GENERATIONS}/${path}`)
  .toSorted((one, other) => statSync(other).mtimeMs - statSync(one).mtimeMs);

/** Runs a shell in the root of the image, mounted where only that shell sees it; gives the lines it writes. */
async function inImage(script: string): Promise<string[]> {
  const mounted = `mount -t squashfs -o loop,ro "$1" /mnt && cd /mnt\n${script}`;
  const argv = ['--mount', 'sh', '-euc', mounted, 'sh', newest as string];
  const { stdout } = await promisify(execFile)('unshare', argv, { timeout: 60_000, maxBuffer: 1 << 24 });
  return stdout.split('\n').filter((line) => line !== '');
}

const skip = newest ? false : 'no image was built yet: test/e2e/full.test.ts builds it';

describe('the sealed root of the web image', { timeout: 120_000, skip }, () => {
  it('has no disk in its fstab, no swap and no first boot, and nothing that is one node’s own (checklist 52)', async () => {
    const fstab = await inImage('grep -v "^#" etc/fstab');
    const mounts = fstab.map((line) => line.split(/\s+/));
    // What is written at run time goes to memory; the rest comes from the appliance.
    for (const [source = '', , type] of mounts) {
      assert.match(type ?? '', /^(tmpfs|nfs)$/, source);
      assert.match(source, /^(tmpfs|appliance:\/)/);
    }
    assert.deepEqual(
      await inImage('find etc usr/lib/systemd/system -name "*.swap" -o -name "dphys-swapfile*"'),
      [],
    );
    const firstBoots =
      'find . -xdev -name "*init_resize*" -o -name "*resize2fs_once*" -o -path "*sys-mods/firstboot"';
    assert.deepEqual(await inImage(firstBoots), []);
    assert.deepEqual(await inImage('find etc/ssh -name "ssh_host_*"'), []);
    assert.deepEqual(await inImage('cat etc/machine-id'), []);
    assert.deepEqual(
      await inImage('find var/lib/systemd -name random-seed; find var/lib -name "instance*id"'),
      [],
    );
  });

  it('keeps hard links, owners, modes and device nodes, and needs no file capabilities (checklist 53)', async () => {
    const [inode, other] = await inImage('stat -c %i usr/bin/perl usr/bin/perl5.*');
    assert.ok(inode !== undefined && inode === other, 'perl is one file with two names');
    assert.deepEqual(await inImage('stat -c "%u:%g %a" etc/shadow usr/bin/su'), ['0:42 640', '0:0 4755']);
    const devices = await inImage('stat -c "%n %F %t,%T" dev/null dev/console');
    assert.deepEqual(devices, [
      'dev/null character special file 1,3',
      'dev/console character special file 5,1',
    ]);
    // NFS version 3 carries none: a program that needed them would fail on the node, and only there.
    assert.deepEqual(await inImage('getcap -r . 2>/dev/null || true'), []);
  });

  it('has an initramfs with the drivers of every Pi’s network, and fits what a Pi 3 can fetch', async () => {
    const boot = `${dirname(newest as string)}/boot`;
    const list = 'zstd --quiet --decompress --stdout "$1/initramfs8" | cpio --quiet --list';
    const { stdout } = await promisify(execFile)('sh', ['-euc', list, 'sh', boot]);
    const modules = new Set(stdout.split('\n').map((path) => basename(path, '.ko')));
    const needed = {
      pi3: ['dwc2', 'smsc95xx', 'lan78xx', 'smsc', 'microchip'],
      pi4: ['genet', 'bcm7xxx', 'broadcom', 'mdio-bcm-unimac'],
      pi5: ['macb'],
      virtual: ['virtio_net', 'usbnet', 'cdc_ether', 'qemu_fw_cfg'],
      root: ['nfs', 'nfsv3', 'nfsv4', 'sunrpc', 'overlay', 'loop', 'ext4', 'squashfs'],
    };
    for (const name of Object.values(needed).flat()) assert.ok(modules.has(name), name);
    for (const path of globSync('**/*', { cwd: boot })) {
      assert.ok(statSync(`${boot}/${path}`).size < 32 * 2 ** 20, path);
    }
  });
});
