import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readGenerations } from '../../src/imaging/generation/generations.ts';
import { Appliance, eventually, GENERATIONS } from '../rack/appliance.ts';
import { makeKey, VirtualPi } from '../rack/virtual-pi.ts';

const PAGE = '<h1>root modes</h1>';
const REBOOT_MS = 8 * 60_000;

/** What a node may write to, tried from inside. A readonly root over NFS 3 is what full.test.ts boots. */
describe('root modes', { timeout: 60 * 60_000 }, () => {
  let appliance: Appliance;
  /** Begins with an overlay over NFS 3; then readonly over NFS 4. */
  let memory: VirtualPi;
  /** Private: over NFS 3, then NFS 4 and another generation. */
  let disk: VirtualPi;

  const inRole = async (pi: VirtualPi, port = 8000) => {
    const page = async () =>
      appliance.inRack('curl', '-sSf', '--max-time', '10', `http://${pi.address}:${port}/`);
    assert.equal(await eventually(180_000, page), PAGE);
    assert.equal(await pi.run('systemctl is-active web-cluster-node.target'), 'active');
    assert.equal(await pi.run('systemctl list-units --failed --no-legend --plain'), '');
  };
  const mountOf = (pi: VirtualPi, path: string) => pi.run(`findmnt -n -o SOURCE,FSTYPE,OPTIONS ${path}`);
  const bootOf = (pi: VirtualPi) => pi.run('cat /proc/sys/kernel/random/boot_id');
  /** In order, and it comes back. */
  const reboot = async (pi: VirtualPi) => {
    const before = await bootOf(pi);
    await pi.run('systemctl reboot').catch(() => undefined);
    await eventually(REBOOT_MS, async () => assert.notEqual(await bootOf(pi), before));
  };
  const set = (name: string, ...options: string[]) => appliance.netboot('set-node', name, ...options);

  before(async () => {
    appliance = await Appliance.make('modes', 'dhcp: full, pool: 192.168.172.100-192.168.172.199');
    await appliance.start();
    await appliance.netboot('build-image', 'web');
    await appliance.writePage(`${PAGE}\n`);
    await appliance.netboot('add-node', 'ab000011', '--name', 'memory', '--role', 'web');
    await set('memory', '--root', 'overlay', '--memory', '64M');
    await appliance.netboot('add-node', 'ab000012', '--name', 'disk', '--role', 'web');
    await set('disk', '--root', 'private', '--disk', '512M');
    const key = await makeKey(appliance);
    memory = new VirtualPi(appliance, 'pi4', 'ab000011', key, 'lives');
    disk = new VirtualPi(appliance, 'pi4', 'ab000012', key, 'lives');
    memory.address = await appliance.addressOf('memory');
    disk.address = await appliance.addressOf('disk');
    await Promise.all([memory.up(), disk.up()]);
  });

  after(async () => {
    await Promise.all([memory?.off(), disk?.off()]);
    await appliance?.remove();
  });

  it('overlay boots into its role and can be written to everywhere', async () => {
    await inRole(memory);
    assert.match(await mountOf(memory, '/'), /^overlay +overlay +rw,/);
    assert.match(await mountOf(memory, '/run/netboot/lower'), /:\S*\/exports\/images\/\S+ +nfs +ro,.*vers=3/);
    await memory.run('echo mine >/usr/lib/mine && echo more >>/etc/profile && rm -r /usr/share/perl5/Debian');
    assert.equal(await memory.run('cat /usr/lib/mine; tail -n 1 /etc/profile'), 'mine\nmore');
  });

  it('private boots into its role, and its disk is the appliance’s file', async () => {
    await inRole(disk);
    assert.match(await mountOf(disk, '/'), /^overlay +overlay +rw,/);
    assert.match(
      await mountOf(disk, '/run/netboot/private'),
      /\/exports\/private\/ab000012 +nfs +rw,.*vers=3/,
    );
    assert.match(await mountOf(disk, '/run/netboot/disk'), /^\/dev\/loop0 +ext4 +rw,nosuid,nodev/);
    await disk.run('echo mine >/usr/lib/mine && echo home >/root/mine && echo more >>/etc/profile');
  });

  it('ends at its ceiling with "No space left", and the node lives on', async () => {
    await assert.rejects(
      memory.run('dd if=/dev/zero of=/var/fill bs=1M count=100'),
      /No space left on device/,
    );
    const kilobytes = Number(await memory.run('du -sk /run/netboot/memory | cut -f 1'));
    assert.ok(kilobytes <= 64 * 1024 + 64 && kilobytes > 60 * 1024, `${kilobytes} KiB`);
    await inRole(memory);
    await memory.run('rm /var/fill && echo again >/usr/lib/mine');
  });

  it('gives nobody the folder of another node, by neither version of NFS', async () => {
    const folder = '192.168.172.17:/exports/private/ab000012';
    for (const version of ['3', '4.1', '4.2']) {
      const attempt = memory.run(`mkdir -p /tmp/other; mount -t nfs -o vers=${version} ${folder} /tmp/other`);
      await assert.rejects(attempt, /access denied|denied by server|No such file/i, version);
    }
    assert.doesNotMatch(
      await memory.run(
        'mkdir -p /tmp/all; mount -t nfs -o vers=4.1 192.168.172.17:/ /tmp/all; find /tmp/all -maxdepth 4',
      ),
      /ab000012/,
    );
    // What is refused is who asks, not how.
    await disk.run(
      `mkdir -p /tmp/own; mount -t nfs -o vers=3 ${folder} /tmp/own && ls /tmp/own/root.ext4 && umount /tmp/own`,
    );
  });

  it('does not grow the disk of a node that runs, whatever is fetched there in its name', async () => {
    const size = async () =>
      (await stat(join(appliance.folder, 'exports/private/ab000012/root.ext4'))).size / 2 ** 20;
    await set('disk', '--disk', '768M');
    const answer = await disk.run(`exec 3<>/dev/tcp/192.168.172.17/80
      printf 'GET /ab000012/config.txt HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3`);
    assert.match(answer, /^HTTP\/1\.1 200/);
    await sleep(3000);
    assert.equal(await size(), 512);
  });

  it('boots again in order: private over NFS 4 and a new generation with its files, readonly over NFS 4', async () => {
    const first = await disk.run('cat /proc/cmdline');
    await set('disk', '--nfs', '4');
    await set('memory', '--root', 'readonly', '--nfs', '4');
    await appliance.netboot('build-image', 'web', '--set', 'port=8001');
    await Promise.all([reboot(disk), reboot(memory)]);
    const generationOf = (line: string) => /nfsroot=\S*\/(web-[0-9a-f]{12}),/.exec(line)?.[1];
    assert.notEqual(generationOf(await disk.run('cat /proc/cmdline')), generationOf(first));
    assert.equal(await disk.run('cat /usr/lib/mine /root/mine; tail -n 1 /etc/profile'), 'mine\nhome\nmore');
    assert.ok(Number(await disk.run('df --output=size --block-size=1M / | tail -n 1')) > 680, 'it has grown');
    assert.match(await mountOf(disk, '/run/netboot/private'), / nfs4 +rw,.*vers=4\.1/);
    assert.match(await mountOf(disk, '/run/netboot/lower'), / nfs4 +ro,.*vers=4\.1/);
    // Copied up from NFS 4, with owner and mode.
    await disk.run('chown daemon /usr/bin/perl && mv /usr/share/perl5/Debian /usr/share/perl5/Moved');
    assert.equal(
      await disk.run('stat -c "%U %a" /usr/bin/perl; ls -d /usr/share/perl5/Moved'),
      'daemon 755\n/usr/share/perl5/Moved',
    );
    await inRole(disk, 8001);
    assert.match(await mountOf(memory, '/run/netboot/lower'), / nfs4 +ro,.*vers=4\.1/);
    assert.match(await mountOf(memory, '/'), /^overlay +overlay +ro,/);
    await memory.run('flock --shared /etc/nfsmount.conf true');
    await assert.rejects(memory.run('touch /usr/lib/mine'), /Read-only file system/);
    await inRole(memory, 8001);
  });

  it('overlay over NFS 4 has nothing of what was written before', async () => {
    await set('memory', '--root', 'overlay', '--nfs', '4');
    await reboot(memory);
    await inRole(memory, 8001);
    assert.match(await mountOf(memory, '/run/netboot/lower'), / nfs4 +ro,.*vers=4\.1/);
    await assert.rejects(memory.run('cat /usr/lib/mine'), /No such file/);
    assert.equal(await memory.run('echo more >>/etc/profile; tail -n 1 /etc/profile'), 'more');
  });

  it('leaves the sealed roots as they were, to the bit', async () => {
    const { generations } = await readGenerations(GENERATIONS);
    const used = generations.filter(
      ({ image, provides }) => image === 'web' && provides?.includes('root-modes'),
    );
    assert.ok(used.length >= 2);
    for (const { id, folder, root } of used) {
      const hash = createHash('sha256');
      await pipeline(createReadStream(`${folder}/root.squashfs`), hash);
      assert.equal(hash.digest('hex'), root.sha256, id);
    }
  });
});
