import { execFileSync } from 'node:child_process';
import { chmod, chown, lchown, link, mkdir, open, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** A file of a card: text, or bytes, or a link (`-> target`), or a folder (ends with a slash). */
export interface CardFile {
  readonly path: string;
  readonly content?: string | Uint8Array;
  readonly link?: string;
  readonly hardLink?: string;
  readonly mode?: number;
  readonly owner?: number;
  /** As setcap(8) writes it. */
  readonly capability?: string;
}

export interface CardPlan {
  readonly table: 'dos' | 'gpt';
  readonly boot: readonly CardFile[];
  readonly root: readonly CardFile[];
  /** A folder that is the root already, and that `root` is added to; it is used up. */
  readonly rootFolder?: string;
  /** Of the ext4, in MiB. */
  readonly rootMiB?: number;
  /** Of the FAT, in MiB. */
  readonly bootMiB?: number;
  /** Another file system than ext4 in the root partition: its first bytes by offset. */
  readonly rootMagic?: readonly [offset: number, bytes: string];
  /** Without the FAT. */
  readonly noBoot?: boolean;
}

const MIB = 2 ** 20;

/** Writes a tree below `folder`. */
export async function writeTree(folder: string, files: readonly CardFile[]): Promise<void> {
  for (const { path, content = '', link: target, hardLink, mode, owner, capability } of files) {
    const full = join(folder, path);
    await mkdir(dirname(full), { recursive: true });
    if (!path.endsWith('/')) await rm(full, { force: true });
    if (path.endsWith('/')) await mkdir(full, { recursive: true });
    else if (target !== undefined) await symlink(target, full);
    else if (hardLink !== undefined) await link(join(folder, hardLink), full);
    else await writeFile(full, content);
    if (owner !== undefined) await (target === undefined ? chown : lchown)(full, owner, owner);
    if (mode !== undefined) await chmod(full, mode);
    if (capability !== undefined) run('setcap', capability, full);
  }
}

/**
 * A raw image of a card with two partitions, as Raspberry Pi OS has them: FAT from 4 MiB, ext4 behind it. Nothing is mounted.
 * @returns `image`
 */
export async function makeCard(image: string, plan: CardPlan): Promise<string> {
  const { table, rootMiB = 16, bootMiB = 8 } = plan;
  const work = `${image}.parts`;
  const [boot, root] = [join(work, 'boot'), plan.rootFolder ?? join(work, 'root')];
  await mkdir(boot, { recursive: true });
  await mkdir(root, { recursive: true });
  await writeTree(boot, plan.boot);
  await writeTree(root, plan.root);
  const fat = join(work, 'boot.fat');
  const ext4 = join(work, 'root.ext4');
  await writeFile(fat, '');
  await truncate(fat, bootMiB * MIB);
  run('mkfs.vfat', '-n', 'BOOTFS', fat);
  const names = execFileSync('ls', ['-A', boot], { encoding: 'utf8' }).trim().split('\n').filter(Boolean);
  if (names.length > 0) run('mcopy', '-s', '-i', fat, ...names.map((name) => join(boot, name)), '::/');
  await writeFile(ext4, '');
  await truncate(ext4, rootMiB * MIB);
  run('mke2fs', '-q', '-t', 'ext4', '-L', 'rootfs', '-d', root, ext4);
  await writeFile(image, '');
  await truncate(image, (4 + bootMiB + rootMiB + 4) * MIB);
  const types =
    table === 'gpt'
      ? ['C12A7328-F81F-11D2-BA4B-00A0C93EC93B', '0FC63DAF-8483-4772-8E79-3D69D8477DE4']
      : ['c', '83'];
  const script = `label: ${table}\nstart=4MiB, size=${bootMiB}MiB, type=${types[0]}\nstart=${4 + bootMiB}MiB, size=${rootMiB}MiB, type=${types[1]}\n`;
  execFileSync('sfdisk', ['--quiet', image], { input: script });
  const parts = plan.noBoot ? [] : [[fat, 4] as const];
  for (const [file, at] of [...parts, [ext4, 4 + bootMiB] as const])
    run('dd', 'conv=notrunc,sparse', 'bs=1M', `seek=${at}`, `if=${file}`, `of=${image}`, 'status=none');
  if (plan.rootMagic) {
    const file = await open(image, 'r+');
    const start = (4 + bootMiB) * MIB;
    await file.write(Buffer.alloc(65_536 * 2), 0, 65_536 * 2, start);
    await file.write(Buffer.from(plan.rootMagic[1], 'latin1'), 0, undefined, start + plan.rootMagic[0]);
    await file.close();
  }
  await rm(work, { recursive: true });
  return image;
}

/** What sha256sum says of a file. */
export const sha256Of = (file: string): string => run('sha256sum', file).slice(0, 64);

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A kernel as far as anything looks into it before a Pi runs it. */
export const kernelOf = (version: string): Uint8Array =>
  gzipSync(Buffer.concat([Buffer.alloc(100_000, 7), Buffer.from(`Linux version ${version} (builder)\0`)]));

const STATUS = (arch: string, ...packages: string[]) =>
  ['dpkg', ...packages]
    .map((name) => `Package: ${name}\nStatus: install ok installed\nArchitecture: ${arch}\nVersion: 1\n`)
    .join('\n');

const UNIT =
  '[Unit]\nDescription=of the image\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n';

const units = (...names: string[]): CardFile[] =>
  names.map((name) => ({ path: `usr/lib/systemd/system/${name}`, content: UNIT }));

/** Traps that every Raspberry Pi OS has. */
function commonRoot(arch: string, release: string, partuuid: string): CardFile[] {
  return [
    { path: 'usr/bin/dpkg', content: 'ELF' },
    { path: 'bin', link: 'usr/bin' },
    { path: 'lib', link: 'usr/lib' },
    { path: 'usr/lib/os-release', content: `PRETTY_NAME="Debian GNU/Linux (${release})"\nID=debian\n` },
    { path: 'etc/os-release', link: '../usr/lib/os-release' },
    { path: 'var/lib/dpkg/status', content: STATUS(arch, 'klibc-utils', 'busybox') },
    {
      path: 'etc/fstab',
      content: `proc            /proc           proc    defaults          0       0\nPARTUUID=${partuuid}-01  /boot/firmware  vfat    defaults          0       2\nPARTUUID=${partuuid}-02  /               ext4    defaults,noatime,x-systemd.growfs  0       1\nnas:/media /srv/media nfs ro 0 0\n`,
    },
    { path: 'etc/machine-id', content: 'uninitialized\n' },
    { path: 'var/lib/dbus/machine-id', link: '/etc/machine-id' },
    { path: 'etc/hostname', content: 'raspberrypi\n' },
    { path: 'etc/hosts', content: '127.0.0.1 localhost\n127.0.1.1 raspberrypi\n' },
    { path: 'etc/resolv.conf', content: 'nameserver 8.8.8.8\n' },
    { path: 'etc/ssh/ssh_host_ed25519_key', content: 'PRIVATE', mode: 0o600 },
    {
      path: 'etc/passwd',
      content: 'root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000:,,,:/home/pi:/bin/bash\n',
    },
    { path: 'etc/shadow', content: 'root:*:1::::::\npi:*:1::::::\n', mode: 0o640 },
    { path: 'etc/group', content: 'root:x:0:\nsudo:x:27:pi,other\npi:x:1000:\n' },
    { path: 'home/pi/.bashrc', content: '# mine\n', owner: 1000 },
    { path: 'root/.bashrc', content: '# root\n' },
    { path: 'var/log/journal/', mode: 0o2755 },
    { path: 'var/log/dpkg.log', content: 'old\n' },
    { path: 'var/spool/cron/crontabs/', mode: 0o1730 },
    { path: 'var/swap', content: 'swap' },
    { path: 'usr/bin/one', content: 'twice', mode: 0o4755 },
    { path: 'usr/share/one', hardLink: 'usr/bin/one' },
    { path: 'usr/bin/ping', content: 'ELF', mode: 0o755, capability: 'cap_net_raw=ep' },
    { path: 'dev/console', content: '' },
    ...units(
      'ssh.service',
      'sshswitch.service',
      'regenerate_ssh_host_keys.service',
      'userconfig.service',
      'rpi-eeprom-update.service',
      'systemd-networkd.service',
      'getty@.service',
      'apt-daily.timer',
      'swap.target',
    ),
    {
      path: 'etc/systemd/system/multi-user.target.wants/userconfig.service',
      link: '/usr/lib/systemd/system/userconfig.service',
    },
    { path: 'etc/NetworkManager/NetworkManager.conf', content: '[main]\nplugins=ifupdown,keyfile\n' },
  ];
}

const CONFIG_TXT = `# For more options see the documentation
dtparam=audio=on
camera_auto_detect=1
auto_initramfs=1
dtoverlay=vc4-kms-v3d
arm_64bit=1

[cm4]
otg_mode=1

[cm5]
dtoverlay=dwc2,dr_mode=host

[all]
enable_uart=1
`;

function bootFiles(kernels: Readonly<Record<string, string>>, cmdline: string): CardFile[] {
  return [
    { path: 'config.txt', content: CONFIG_TXT },
    { path: 'cmdline.txt', content: `${cmdline}\n` },
    ...Object.entries(kernels).map(([path, version]) => ({ path, content: kernelOf(version) })),
    { path: 'initramfs8', content: 'MODULES=dep' },
    { path: 'start4.elf', content: 'start' },
    { path: 'fixup4.dat', content: 'fixup' },
    { path: 'bootcode.bin', content: 'bootcode' },
    { path: 'bcm2711-rpi-4-b.dtb', content: 'tree' },
    { path: 'overlays/vc4-kms-v3d.dtbo', content: 'overlay' },
    { path: 'overlays/README', content: 'readme' },
    { path: 'recovery.bin', content: 'flashes' },
    { path: 'extra.txt', content: 'hdmi_group=2\n' },
  ];
}

const modules = (version: string): CardFile => ({
  path: `usr/lib/modules/${version}/kernel/fs/nfs.ko`,
  content: version,
});

/** As Raspberry Pi OS 12 arm64 Lite lies on its card before the first boot. */
export function bookworm(table: 'dos' | 'gpt' = 'dos'): CardPlan {
  const [v8, v2712] = ['6.6.51+rpt-rpi-v8', '6.6.51+rpt-rpi-2712'];
  return {
    table,
    boot: [
      ...bootFiles(
        { 'kernel8.img': v8, 'kernel_2712.img': v2712 },
        'console=serial0,115200 console=tty1 root=PARTUUID=8c1f6b3e-02 rootfstype=ext4 fsck.repair=yes rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot cgroup_enable=memory',
      ),
      { path: 'ssh', content: '' },
      { path: 'userconf.txt', content: 'ada:$6$salt$hash\r\n' },
    ],
    root: [
      ...commonRoot('arm64', 'bookworm', '8c1f6b3e'),
      modules(v8),
      modules(v2712),
      { path: `boot/vmlinuz-${v8}`, content: 'stale, not what the card boots' },
      { path: 'etc/init.d/resize2fs_once', content: '#!/bin/sh\n', mode: 0o755 },
      { path: 'etc/rc3.d/S01resize2fs_once', link: '../init.d/resize2fs_once' },
      ...units('dphys-swapfile.service', 'fake-hwclock.service'),
      { path: 'etc/fake-hwclock.data', content: '2024-11-19 15:00:00\n' },
      { path: 'etc/cron.hourly/fake-hwclock', content: '#!/bin/sh\n' },
      { path: 'etc/dhcpcd.conf', content: 'hostname\n' },
    ],
  };
}

/** As Raspberry Pi OS 13 arm64 Lite does: cloud-init, rpi-swap, growing by the initramfs. */
export function trixie(table: 'dos' | 'gpt' = 'dos'): CardPlan {
  const version = '6.12.47+rpt-rpi-v8';
  return {
    table,
    boot: [
      ...bootFiles(
        { 'kernel8.img': version },
        'console=serial0,115200 console=tty1 root=PARTUUID=1a2b3c4d-02 rootfstype=ext4 fsck.repair=yes rootwait resize ds=nocloud;i=rpi-imager-1 cfg80211.ieee80211_regdom=DE',
      ),
      { path: 'user-data', content: '#cloud-config\nhostname: mypi\n' },
      { path: 'meta-data', content: 'instance_id: rpios-image\n' },
      { path: 'network-config', content: '# none\n' },
    ],
    root: [
      ...commonRoot('arm64', 'trixie', '1a2b3c4d'),
      modules(version),
      { path: 'etc/rpi/swap.conf', content: '[Main]\n#Mechanism=auto\n' },
      { path: 'usr/lib/systemd/system-generators/rpi-swap-generator', content: '#!/bin/sh\n', mode: 0o755 },
      ...units('rpi-resize.service', 'systemd-growfs-root.service', 'cloud-init-main.service'),
      { path: 'etc/cloud/cloud.cfg', content: 'users: [default]\n' },
      { path: 'var/lib/cloud/instances/rpios-image/obj.pkl', content: 'x' },
      { path: 'var/lib/NetworkManager/', mode: 0o700 },
    ],
  };
}

/** As Raspberry Pi OS 11, 32 bit, does: the boot partition at /boot, nothing to make an initramfs of. */
export function bullseye(): CardPlan {
  const [v8, v7l] = ['6.1.21-v8+', '6.1.21-v7l+'];
  const { root } = bookworm();
  const own = root.filter(({ path }) => !/^(usr\/lib\/modules|boot|etc\/fstab|var\/lib\/dpkg)/.test(path));
  return {
    table: 'dos',
    boot: bootFiles(
      { 'kernel8.img': v8, 'kernel7l.img': v7l },
      'console=serial0,115200 root=PARTUUID=5e3da3da-02 rootfstype=ext4 rootwait quiet init=/usr/lib/raspi-config/init_resize.sh',
    ),
    root: [
      ...own,
      modules(v8),
      modules(v7l),
      { path: 'boot/' },
      {
        path: 'etc/fstab',
        content:
          'proc /proc proc defaults 0 0\nPARTUUID=5e3da3da-01 /boot vfat defaults 0 2\nPARTUUID=5e3da3da-02 / ext4 defaults,noatime 0 1\n',
      },
      { path: 'var/lib/dpkg/status', content: STATUS('armhf') },
    ],
  };
}
