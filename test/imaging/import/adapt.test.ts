import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { filter } from '../../../src/host/filter.ts';
import { run } from '../../../src/host/run.ts';
import { adaptInputs } from '../../../src/imaging/import/inputs.ts';
import { hashMemory } from '../../../src/imaging/import/remembered-hash.ts';
import { openImage } from '../../../src/imaging/import/source.ts';
import { bookworm, bullseye, type CardFile, type CardPlan, makeCard, trixie } from './card.ts';
import { runStep } from './run-step.ts';

const skip = process.geteuid?.() === 0 ? false : 'mounting needs root';

/** A card's image through both steps. */
class Adapted {
  readonly folder: string;
  readonly said: string[] = [];

  constructor(folder: string) {
    this.folder = folder;
  }

  static async of(plan: CardPlan): Promise<Adapted> {
    const adapted = new Adapted(await mkdtemp('/var/tmp/netboot-adapt-'));
    try {
      await adapted.#make(plan);
      return adapted;
    } catch (error) {
      await rm(adapted.folder, { recursive: true, force: true });
      throw error;
    }
  }

  async #make(plan: CardPlan): Promise<void> {
    const { folder, said } = this;
    const root = join(folder, 'root');
    const file = await makeCard(join(folder, 'card.img'), plan);
    await mkdir(root);
    const hashes = hashMemory(join(folder, 'hashes'));
    await using image = await openImage(file, undefined, { run, filter, hashes }, { workFolder: folder });
    said.push(...(await runStep('import', root, image.environment)));
    said.push(...(await runStep('adapt', root, { SOURCE_DATE_EPOCH: '1700000000' }, adaptInputs())));
  }

  path = (path: string) => join(this.folder, 'root', path);
  text = (path: string) => readFileSync(this.path(path), 'utf8');
  list = (path: string) => readdirSync(this.path(path)).toSorted();
  has = (path: string) => lstatSync(this.path(path), { throwIfNoEntry: false }) !== undefined;
  isMasked = (unit: string) => readlinkSync(this.path(`etc/systemd/system/${unit}`)) === '/dev/null';
  isWanted = (unit: string, by = 'multi-user.target') => this.has(`etc/systemd/system/${by}.wants/${unit}`);
}

/** What holds for every release. */
function common(system: () => Adapted): void {
  it('mounts nothing of a card, and what is written goes to memory', () => {
    const fstab = system().text('etc/fstab');
    assert.doesNotMatch(fstab, /PARTUUID|ext4|vfat|growfs/);
    assert.match(fstab, /^proc +\/proc +proc /m);
    assert.match(fstab, /^nas:\/media \/srv\/media nfs/m);
    for (const folder of ['/tmp', '/var/log', '/var/spool'])
      assert.match(fstab, new RegExp(`^tmpfs ${folder} tmpfs `, 'm'));
    assert.match(fstab, /^overlay \/home overlay lowerdir=\/home,/m);
    assert.match(
      system().text('etc/tmpfiles.d/netboot-volatile.conf'),
      /^d \/var\/spool\/cron\/crontabs 01730 0 0 -$/m,
    );
    assert.equal(system().has('var/log/dpkg.log'), false);
  });

  it('has nothing that makes a machine itself', () => {
    assert.deepEqual(system().list('etc/ssh'), ['sshd_config.d']);
    assert.equal(system().text('etc/machine-id'), '');
    assert.equal(system().has('var/lib/dbus/machine-id'), false);
    assert.equal(system().text('etc/hostname'), 'node\n');
    assert.equal(readlinkSync(system().path('etc/hosts')), '/run/netboot/hosts');
    assert.equal(readlinkSync(system().path('etc/resolv.conf')), '/run/netboot/resolv.conf');
    assert.ok(system().isMasked('regenerate_ssh_host_keys.service'));
    assert.ok(system().isWanted('netboot-node.service', 'sysinit.target'));
    assert.match(system().text('etc/ssh/sshd_config.d/netboot.conf'), /^HostKey \/run\/netboot\//m);
  });

  it('asks nobody anything at the first boot, but for a name and a password at the prompt', () => {
    assert.ok(system().isMasked('userconfig.service'));
    assert.ok(system().isMasked('sshswitch.service'));
    assert.ok(
      system().isWanted('getty@tty1.service') || system().isWanted('getty@tty1.service', 'getty.target'),
    );
  });

  it('leaves its wired interface alone, but renews the address', () => {
    assert.match(
      system().text('etc/NetworkManager/conf.d/90-netboot.conf'),
      /^unmanaged-devices=type:ethernet$/m,
    );
    assert.ok(system().isWanted('systemd-networkd.service'));
    assert.match(system().text('etc/systemd/network/10-root.network'), /^KeepConfiguration=yes$/m);
  });

  it('does not swap, nor flash the EEPROM', () => {
    assert.ok(system().isMasked('swap.target'));
    assert.equal(system().has('var/swap'), false);
    assert.ok(system().isMasked('rpi-eeprom-update.service'));
    assert.equal(system().has('usr/lib/raspi-firmware/recovery.bin'), false);
  });

  it('keeps owners, modes and hard links, and no device', () => {
    const [one, other] = [statSync(system().path('usr/bin/one')), statSync(system().path('usr/share/one'))];
    assert.equal(one.ino, other.ino);
    assert.equal(one.mode & 0o7777, 0o4755);
    assert.deepEqual(system().list('dev'), []);
  });

  it('has no file capability left when it is cleaned, as NFS stores none: setuid root takes its place', async () => {
    const capabilities = () => run('getcap', [system().path('usr/bin/ping')]);
    assert.match(await capabilities(), /cap_net_raw/);
    await runStep('clean', system().path('.'), { SOURCE_DATE_EPOCH: '1700000000' });
    assert.equal(await capabilities(), '');
    assert.equal(statSync(system().path('usr/bin/ping')).mode & 0o7777, 0o4755);
  });

  it("has one kernel and the boot partition's files where Debian's packages have theirs", () => {
    const [version, ...others] = system().list('usr/lib/modules');
    assert.deepEqual(others, []);
    assert.match(String(version), /-v8$/);
    assert.deepEqual(system().list('boot'), ['firmware', `vmlinuz-${version}`]);
    assert.deepEqual(system().list('boot/firmware'), []);
    assert.deepEqual(system().list(`usr/lib/linux-image-${version}/broadcom`), ['bcm2711-rpi-4-b.dtb']);
    assert.deepEqual(system().list('usr/lib/raspi-firmware'), [
      'bootcode.bin',
      'extra.txt',
      'fixup4.dat',
      'overlays',
      'start4.elf',
    ]);
    // Not the one that lay beside it in /boot.
    assert.equal(readFileSync(system().path(`boot/vmlinuz-${version}`)).readUInt16BE(), 0x1f8b);
  });
}

describe("Bookworm's Raspberry Pi OS on an MBR card", { skip }, () => {
  let system: Adapted;
  before(async () => {
    system = await Adapted.of(bookworm('dos'));
  });
  after(() => rm(system.folder, { recursive: true, force: true }));

  common(() => system);

  it('does not grow, nor keep a clock in a file', () => {
    assert.deepEqual(system.list('etc/init.d'), []);
    assert.deepEqual(system.list('etc/rc3.d'), []);
    assert.ok(system.isMasked('dphys-swapfile.service'));
    assert.ok(system.isMasked('fake-hwclock.service'));
    assert.equal(system.has('etc/cron.hourly/fake-hwclock'), false);
    assert.match(system.text('etc/dhcpcd.conf'), /^hostname\n[\s\S]*^denyinterfaces eth\*/m);
  });

  it("does what the boot partition asks for: ssh, and the first user's name and password", () => {
    assert.ok(system.isWanted('ssh.service'));
    assert.match(system.text('etc/passwd'), /^ada:x:1000:1000:,,,:\/home\/ada:\/bin\/bash$/m);
    assert.match(system.text('etc/shadow'), /^ada:\$6\$salt\$hash:1::/m);
    assert.equal(system.text('etc/group'), 'root:x:0:\nsudo:x:27:ada,other\nada:x:1000:\n');
    assert.equal(statSync(system.path('etc/shadow')).mode & 0o777, 0o640);
    assert.equal(statSync(system.path('home/ada/.bashrc')).uid, 1000);
    assert.equal(system.has('home/pi'), false);
  });
});

describe("trixie's Raspberry Pi OS on a GPT card", { skip }, () => {
  let system: Adapted;
  before(async () => {
    system = await Adapted.of(trixie('gpt'));
  });
  after(() => rm(system.folder, { recursive: true, force: true }));

  common(() => system);

  it('neither grows nor is cloud-init to give all nodes one identity', () => {
    assert.ok(system.isMasked('rpi-resize.service'));
    assert.ok(system.isMasked('systemd-growfs-root.service'));
    assert.ok(system.has('etc/cloud/cloud-init.disabled'));
    assert.equal(system.has('var/lib/cloud/instances'), false);
    assert.match(system.said.join('\n'), /^NOT DONE: user-data .* into image\.yaml/m);
  });

  it('has swap in memory switched off at its generator', () => {
    assert.equal(readlinkSync(system.path('etc/systemd/system-generators/rpi-swap-generator')), '/dev/null');
    assert.equal(system.text('etc/rpi/swap.conf.d/90-netboot.conf'), '[Main]\nMechanism=none\n');
  });

  it('keeps its user as it was', () => assert.match(system.text('etc/passwd'), /^pi:x:1000:/m));
});

describe("Bullseye's 32-bit Raspberry Pi OS", { skip }, () => {
  let system: Adapted;
  before(async () => {
    system = await Adapted.of(bullseye());
  });
  after(() => rm(system.folder, { recursive: true, force: true }));

  it('boots the 64-bit kernel from its boot partition, which it had at /boot', () => {
    assert.deepEqual(system.list('usr/lib/modules'), ['6.1.21-v8+']);
    assert.deepEqual(system.list('boot'), ['firmware', 'vmlinuz-6.1.21-v8+']);
    assert.doesNotMatch(system.text('etc/fstab'), /PARTUUID/);
  });
});

describe('an image that cannot be adapted', { skip }, () => {
  const refused = async (boot: readonly CardFile[], root: readonly CardFile[], expected: RegExp) => {
    const plan = trixie();
    await assert.rejects(
      Adapted.of({ ...plan, boot: [...plan.boot, ...boot], root: [...plan.root, ...root] }),
      expected,
    );
  };

  it('with a password in userconf.txt that is not encrypted', () =>
    refused([{ path: 'userconf.txt', content: 'ada\n' }], [], /must be one line NAME:ENCRYPTED-PASSWORD/));

  it('with a link where we write, that leads out of it: nothing outside is touched', () =>
    refused(
      [],
      [{ path: 'etc/tmpfiles.d', link: '/var/tmp' }],
      /\/etc\/tmpfiles\.d is a link that leads out/,
    ));

  it('with modules of a kernel that it has not got', async () => {
    const plan = trixie();
    const boot = plan.boot.filter(({ path }) => !path.startsWith('kernel'));
    await assert.rejects(
      Adapted.of({ ...plan, boot }),
      /neither its boot partition nor \/boot has that kernel/,
    );
  });
});
