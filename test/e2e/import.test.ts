import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import type { Generation } from '../../src/model/generation.ts';
import { type CardFile, makeCard } from '../imaging/import/card.ts';
import { Appliance, eventually, GENERATIONS } from '../rack/appliance.ts';
import { makeKey, VirtualPi } from '../rack/virtual-pi.ts';

/**
 * A card's image, as Raspberry Pi OS comes: a real arm64 Debian, with its kernel, and everything that binds Raspberry Pi OS to
 * its card. Imported by the command line, booted without a card. The system is Debian's, from the sealed web image, since
 * nothing is downloaded here; what only Raspberry Pi OS's own kernel and programs do is not seen.
 */
describe('an imported card image boots diskless', { timeout: 60 * 60_000 }, () => {
  let appliance: Appliance;
  let pi: VirtualPi;
  let image: string;
  /** Recipes, build layers, the image. */
  let folder: string;

  before(async () => {
    folder = await mkdtemp('/var/tmp/netboot-import-e2e-');
    const [images, cache] = [join(folder, 'images'), join(folder, 'cache')];
    await mkdir(images);
    appliance = await Appliance.make('import', 'dhcp: full, pool: 192.168.172.100-192.168.172.199', {
      generations: 'generations',
      images,
      cache,
    });
    image = await makePiImage(folder);
    await appliance.start();
  });

  after(async () => {
    await pi?.off();
    await appliance?.remove();
    await rm(folder, { recursive: true, force: true });
  });

  it('imports it: one command', async () => {
    const said = await appliance.netboot('import-image', image, '--name', 'raspios');
    assert.match(said, /^wrote \S+\/raspios\/image\.yaml$/m);
    assert.match(said, /^published raspios-[0-9a-f]{12} /m);
    const loops = await execa('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE']);
    assert.doesNotMatch(loops.stdout, /netboot-import-e2e/);
  });

  it('knows the same file again at once', async () => {
    const started = performance.now();
    const said = await appliance.netboot('import-image', image, '--name', 'raspios');
    assert.match(said, /is of this file already$/m);
    assert.match(said, /^nothing to do: raspios-/m);
    assert.ok(performance.now() - started < 10_000);
  });

  it('builds another image on it, from its layers', async () => {
    await mkdir(join(folder, 'images/kiosk/rootfs/etc'), { recursive: true });
    await writeFile(join(folder, 'images/kiosk/image.yaml'), 'base: {from: raspios}\n');
    await writeFile(join(folder, 'images/kiosk/rootfs/etc/kiosk'), 'of our own\n');
    const said = await appliance.netboot('build-image', 'kiosk', '--json');
    const { generation, steps } = JSON.parse(said) as {
      generation: string;
      steps: Array<{ step: string; cached: boolean }>;
    };
    for (const step of ['raspios/import', 'raspios/adapt'])
      assert.equal(steps.find((ran) => ran.step === step)?.cached, true, step);
    const squashfs = join(appliance.folder, 'generations', generation, 'root.squashfs');
    assert.equal((await execa('unsquashfs', ['-cat', squashfs, 'etc/kiosk'])).stdout, 'of our own');
  });

  it('boots it to a log-in', async () => {
    const key = await makeKey(appliance);
    await appliance.netboot('add-node', 'ab000011', '--name', 'card', '--image', 'raspios');
    pi = new VirtualPi(appliance, 'pi4', 'ab000011', key);
    pi.address = await appliance.addressOf('card');
    await pi.up();
    // The kernel has its say at once, in the middle of a word, too.
    const withoutKernel = (text: string) => text.replaceAll(/\[ *\d+\.\d+\][^\n]*\n[^│]*│ /g, '');
    await eventually(120_000, async () => assert.match(withoutKernel(await pi.console()), /card login:/));
  });

  it('is a node like any other: read-only root, its own name, keys, machine-id', async () => {
    const root = await pi.run('findmnt --noheadings --raw --output FSTYPE,OPTIONS /');
    assert.match(root, /^nfs /);
    assert.match(root, / ro(,|$)/);
    assert.equal(await pi.run('hostname'), 'card');
    assert.match(await pi.run('cat /etc/machine-id'), /^[0-9a-f]{32}$/);
    assert.match(await pi.run('cat /run/netboot/ssh/ssh_host_ed25519_key.pub'), /^ssh-ed25519 /);
  });

  it('starts without a failed unit', async () =>
    assert.equal(await pi.run('systemctl list-units --failed --no-legend --plain'), ''));

  it('has its users, whose homes can be written until it goes down', async () => {
    assert.equal(await pi.run('id --name --user 1000; stat --format=%U /home/ada/notes'), 'ada\nada');
    await pi.run('echo changed >/home/ada/notes && echo x >/root/new');
    assert.equal(await pi.run('cat /home/ada/notes'), 'changed');
    assert.match(await pi.run('findmnt -n -o FSTYPE /home'), /overlay/);
  });

  it('has nothing left of its card: swap, growing, wizard, cloud-init', async () => {
    assert.equal(await pi.run('swapon --show --noheadings'), '');
    assert.doesNotMatch(await pi.run('cat /proc/cmdline'), /PARTUUID|resize|init=|quiet/);
    for (const unit of ['userconfig.service', 'rpi-resize.service', 'sshswitch.service'])
      assert.equal(await pi.run(`systemctl is-enabled ${unit} || true`), 'masked');
    assert.equal(await pi.run('test ! -e /ran-at-first-boot && echo none'), 'none');
  });
});

const FIRST_BOOT = (wantedBy: string) =>
  `[Unit]\nDescription=of the card\n[Service]\nType=oneshot\nExecStart=/bin/touch /ran-at-first-boot\n[Install]\nWantedBy=${wantedBy}\n`;

/** Units of Raspberry Pi OS that fail on a read-only root, or make it one machine's. */
const FIRST_BOOT_UNITS = [
  'userconfig.service',
  'rpi-resize.service',
  'sshswitch.service',
  'regenerate_ssh_host_keys.service',
  'rpi-eeprom-update.service',
  'dphys-swapfile.service',
];

const TRAPS: readonly CardFile[] = [
  {
    path: 'etc/fstab',
    content:
      'proc /proc proc defaults 0 0\nPARTUUID=1a2b3c4d-01 /boot/firmware vfat defaults 0 2\nPARTUUID=1a2b3c4d-02 / ext4 defaults,noatime,x-systemd.growfs 0 1\n/var/swap none swap sw 0 0\n',
  },
  { path: 'etc/machine-id', content: 'uninitialized\n' },
  { path: 'etc/hostname', content: 'raspberrypi\n' },
  { path: 'etc/hosts', content: '127.0.0.1 localhost\n127.0.1.1 raspberrypi\n' },
  { path: 'etc/resolv.conf', content: 'nameserver 192.0.2.1\n' },
  { path: 'etc/ssh/ssh_host_ed25519_key', content: 'of all cards\n', mode: 0o600 },
  { path: 'var/swap', content: 'swap' },
  { path: 'etc/rpi/swap.conf', content: '[Main]\nMechanism=auto\n' },
  {
    path: 'usr/lib/systemd/system-generators/rpi-swap-generator',
    content: '#!/bin/sh\nexit 1\n',
    mode: 0o755,
  },
  { path: 'etc/cloud/cloud.cfg', content: 'users: [default]\n' },
  { path: 'home/pi/', owner: 1000 },
  { path: 'home/pi/notes', content: 'mine\n', owner: 1000 },
  // It needs D-Bus, which this system has not got.
  { path: 'etc/systemd/system/systemd-logind.service', link: '/dev/null' },
  ...FIRST_BOOT_UNITS.flatMap((unit): CardFile[] => [
    { path: `usr/lib/systemd/system/${unit}`, content: FIRST_BOOT('multi-user.target') },
    {
      path: `etc/systemd/system/multi-user.target.wants/${unit}`,
      link: `/usr/lib/systemd/system/${unit}`,
    },
  ]),
];

/** What the web image was given to be a node's root: a card's system has none of it. */
const NOT_OF_A_CARD = [
  'etc/systemd/system',
  'etc/systemd/network',
  'etc/systemd/journald.conf.d',
  'etc/systemd/system-generators',
  'etc/ssh/sshd_config.d/netboot.conf',
  'etc/tmpfiles.d',
  'etc/nfsmount.conf',
  'usr/lib/netboot',
];

/** @returns `2026-11-21-raspios-trixie-arm64-lite.img.xz` */
async function makePiImage(folder: string): Promise<string> {
  const web = (await readdir(GENERATIONS)).filter((name) => name.startsWith('web-'));
  const sealed = await Promise.all(
    web.map(async (name) => {
      const manifest = JSON.parse(await readFile(join(GENERATIONS, name, 'manifest.json'), 'utf8'));
      return { folder: join(GENERATIONS, name), generation: manifest as Generation };
    }),
  );
  const newest = sealed
    .filter(({ generation }) => 'busybox-static' in generation.packages)
    .toSorted((a, b) => (a.generation.sealedAt < b.generation.sealedAt ? 1 : -1))[0];
  assert.ok(newest, `no sealed web image below ${GENERATIONS}: the test full.test.ts builds it`);
  const root = join(folder, 'card-root');
  await execa('unsquashfs', ['-no-progress', '-quiet', '-d', root, join(newest.folder, 'root.squashfs')]);
  for (const path of NOT_OF_A_CARD) await rm(join(root, path), { recursive: true, force: true });
  const tables = {
    passwd: 'pi:x:1000:1000::/home/pi:/bin/bash',
    shadow: 'pi:!:20000::::::',
    group: 'pi:x:1000:',
  };
  const added: CardFile[] = [];
  for (const [name, line] of Object.entries(tables))
    added.push({
      path: `etc/${name}`,
      content: `${await readFile(join(root, 'etc', name), 'utf8')}${line}\n`,
    });
  const boot: CardFile[] = [
    {
      path: 'config.txt',
      content:
        'dtparam=audio=on\nauto_initramfs=1\n[cm4]\notg_mode=1\n[all]\nenable_uart=1\nupstream_kernel=1\n',
    },
    {
      path: 'cmdline.txt',
      content:
        'console=serial0,115200 console=tty1 root=PARTUUID=1a2b3c4d-02 rootfstype=ext4 fsck.repair=yes rootwait quiet resize init=/usr/lib/raspberrypi-sys-mods/firstboot ds=nocloud;i=rpi-1\n',
    },
    { path: 'ssh', content: '' },
    { path: 'userconf.txt', content: 'ada:$6$salt$notarealhash\n' },
    { path: 'user-data', content: '#cloud-config\nhostname: raspberrypi\n' },
  ];
  const firmware = join(newest.folder, 'boot');
  for (const name of await readdir(firmware)) {
    if (name === 'overlays' || name.startsWith('ipxe')) continue;
    boot.push({ path: name, content: await readFile(join(firmware, name)) });
  }
  const image = join(folder, '2026-11-21-raspios-trixie-arm64-lite.img');
  await makeCard(image, {
    table: 'dos',
    boot,
    root: [...TRAPS, ...added],
    rootFolder: root,
    rootMiB: 800,
    bootMiB: 128,
  });
  await rm(root, { recursive: true });
  await execa('xz', ['-1', '--threads=0', image]);
  const sum = await execa('sha256sum', [`${image}.xz`]);
  await writeFile(`${image}.xz.sha256`, `${sum.stdout}\n`);
  return `${image}.xz`;
}
