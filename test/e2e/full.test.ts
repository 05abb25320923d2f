import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import type { GenerationAnswer } from '../../src/api/image-routes.ts';
import { Appliance, eventually } from '../rack/appliance.ts';
import { makeKey, VirtualPi } from '../rack/virtual-pi.ts';

/** The path of a first light, whole: a rack of virtual Pis, the service as their only DHCP server, the web image. */
describe('a diskless Pi boots to a web page', { timeout: 60 * 60_000 }, () => {
  let appliance: Appliance;
  /** Boots into its role. */
  let one: VirtualPi;
  /** Boots without a role and is switched by hand, as S1-21 does it. */
  let two: VirtualPi;
  const leases = async () =>
    JSON.parse(await appliance.netboot('leases', '--json')) as Array<{
      address: string;
      mac: string;
      state: string;
      expires: string;
    }>;

  before(async () => {
    appliance = await Appliance.make('full', 'dhcp: full, pool: 192.168.172.100-192.168.172.199, lease: 2m');
    await appliance.start();
    await appliance.netboot('build-image', 'web');
    await appliance.writePage('<h1>first light</h1>\n');
    await appliance.netboot('add-node', '0x10000000AB000001', '--name', 'one', '--role', 'web');
    await appliance.netboot('add-node', 'ab000002', '--name', 'two', '--ip', '192.168.172.22');
    const key = await makeKey(appliance);
    one = new VirtualPi(appliance, 'pi4', 'ab000001', key);
    two = new VirtualPi(appliance, 'pi4', 'ab000002', key);
    one.address = await appliance.addressOf('one');
    two.address = await appliance.addressOf('two');
    await Promise.all([one.up(), two.up()]);
  });

  after(async () => {
    await Promise.all([one?.off(), two?.off()]);
    await appliance?.remove();
  });

  it('serves the shared page from the node that has the role', async () => {
    const page = await eventually(120_000, () => appliance.page(one.address));
    assert.equal(page, '<h1>first light</h1>');
    assert.equal(await one.run('systemctl is-active web-cluster-node.target'), 'active');
  });

  it('knows each node by its own name and identity (checklist 52)', async () => {
    assert.equal(await one.run('hostname'), 'one');
    assert.equal(await two.run('hostname'), 'two');
    const ids = await Promise.all([one.run('cat /etc/machine-id'), two.run('cat /etc/machine-id')]);
    assert.match(ids[0], /^[0-9a-f]{32}$/);
    assert.notEqual(ids[0], ids[1]);
    const keys = await Promise.all(
      [one, two].map((pi) => pi.run('cat /run/netboot/ssh/ssh_host_ed25519_key.pub')),
    );
    assert.notEqual(keys[0], keys[1]);
  });

  it('fetched less than 28 MB to boot, no file over 32 MiB, and as much as show-image says', async () => {
    const { fetched } = JSON.parse(
      await appliance.netboot('show-image', 'web', '--json'),
    ) as GenerationAnswer;
    const read = [...(await one.console()).matchAll(/ RRQ .*?\/(\S+) → .*, (\d+) bytes /g)].map(
      ([, name, bytes]) => ({ name, bytes: Number(bytes) }),
    );
    for (const { name, bytes } of read) assert.ok(bytes <= 32 * 2 ** 20, name);
    const sum = (files: typeof read) => files.reduce((total, { bytes }) => total + bytes, 0);
    assert.ok(sum(read) <= 28_000_000, `${sum(read)} bytes`);
    const made = ['config.txt', 'cmdline.txt'];
    assert.equal(sum(read.filter(({ name = '' }) => !made.includes(name))), fetched?.['Pi 4B']);
  });

  it('gave the reserved address through every stage of the boot', async () => {
    assert.equal(two.address, '192.168.172.22');
    assert.match(await two.run('ip -4 -o address show scope global'), /inet 192\.168\.172\.22\/24/);
  });

  it('has its root from the appliance over NFS, read-only', async () => {
    const images = JSON.parse(await appliance.netboot('images', '--json')) as Array<{
      image: string;
      generation?: string;
    }>;
    const generation = images.find(({ image }) => image === 'web');
    const root = await two.run('findmnt --noheadings --raw --output SOURCE,FSTYPE,OPTIONS /');
    assert.match(
      root,
      new RegExp(`^192\\.168\\.172\\.17:\\S*/exports/images/${generation?.generation} nfs `),
    );
    assert.match(root, / ro(,|$)/);
    await assert.rejects(two.run('touch /usr/written'), /Read-only file system/);
  });

  it('starts without a failed unit', async () => {
    for (const pi of [one, two]) {
      assert.equal(await pi.run('systemctl list-units --failed --no-legend --plain'), '');
    }
  });

  it('switches the role on: nginx, the document root and its scratch space (S1-19, S1-21)', async () => {
    await assert.rejects(appliance.page(two.address), /7|refused/i);
    await two.run('systemctl isolate web-cluster-node.target');
    assert.equal(await eventually(60_000, () => appliance.page(two.address)), '<h1>first light</h1>');
    assert.equal(await two.run('systemctl is-active nginx.service'), 'active');
    assert.match(
      await two.run('findmnt -n -o SOURCE,FSTYPE,OPTIONS /mnt/www'),
      /:\S*\/exports\/www +nfs +ro,.*vers=3,.*addr=192\.168\.172\.17/,
    );
    assert.match(await two.run('findmnt -n -o FSTYPE /var/lib/nginx'), /tmpfs/);
  });

  it('shows an edited page on every Pi at once', async () => {
    await appliance.writePage('<h1>second edition</h1>\n');
    for (const pi of [one, two]) {
      await eventually(90_000, async () =>
        assert.equal(await appliance.page(pi.address), '<h1>second edition</h1>'),
      );
    }
  });

  it('switches the role off: no nginx, neither mount, nothing on port 8000', async () => {
    await two.run('systemctl isolate multi-user.target');
    await eventually(60_000, async () => assert.equal(await two.run('pgrep -c nginx || true'), '0'));
    assert.equal(await two.run('findmnt -n /mnt/www || true'), '');
    assert.equal(await two.run('findmnt -n /var/lib/nginx || true'), '');
    assert.equal(await two.run('ss -Hltn "sport = :8000"'), '');
    await assert.rejects(appliance.page(two.address));
  });

  it('gives a Pi that was not added no boot tree, and lists it as waiting', async () => {
    const stranger = new VirtualPi(appliance, 'pi4', 'ab000003', `${appliance.folder}/id_ed25519`);
    const found = await eventually(30_000, async () => {
      const waiting = (await appliance.nodes()).waiting.find(({ serial }) => serial === 'ab000003');
      assert.ok(waiting);
      return waiting;
    });
    assert.equal(found.machine, 'Pi 4');
    await stranger.off();
    const said = await stranger.console();
    assert.doesNotMatch(said, /RRQ/);
    assert.match(said, /no option 43/);
  });

  it('keeps its address: what the kernel was given for minutes, the system renews', async () => {
    for (const { address } of [one, two]) {
      const expiry = async () =>
        Date.parse((await leases()).find((lease) => lease.address === address)?.expires ?? '');
      const before = await expiry();
      await eventually(100_000, async () =>
        assert.ok((await expiry()) > before, `the lease of ${address} is renewed`),
      );
    }
    assert.match(await two.run('ip -4 -o address show scope global'), /inet 192\.168\.172\.22\/24/);
  });

  it('loses nothing and leaves nothing stale when it is killed, and the Pis run on', async () => {
    const before = { nodes: await appliance.nodes(), leases: await leases() };
    const ganeshas = () =>
      execFileSync('sh', ['-c', `ip netns pids nb-${appliance.rack} | xargs -r ps -o comm= -p`], {
        encoding: 'utf8',
      }).match(/ganesha/g)?.length ?? 0;
    await appliance.stop('SIGKILL');
    await eventually(10_000, async () => assert.equal(ganeshas(), 0, 'NFS-Ganesha goes with its service'));
    await appliance.start();
    assert.equal(ganeshas(), 1);
    const { nodes } = await appliance.nodes();
    assert.deepEqual(
      nodes.map(({ lastSeen: _, report: __, ...node }) => node),
      before.nodes.nodes.map(({ lastSeen: _, report: __, ...node }) => node),
    );
    const holders = (await leases()).map(({ address, mac }) => `${address} ${mac}`);
    // What was only offered to a Pi that waits is not a lease: it is offered again.
    const given = before.leases.filter(({ state }) => state === 'bound');
    assert.ok(given.length >= 2);
    for (const { address, mac } of given) assert.ok(holders.includes(`${address} ${mac}`), address);
    // Not in its page cache yet: what it runs now has to come over NFS, by handles from before the kill.
    assert.match(
      await eventually(120_000, () =>
        two.run('find /usr/share/perl5 -type f | head -200 | xargs cat | wc -c'),
      ),
      /^\d+$/,
    );
    await eventually(90_000, async () =>
      assert.equal(await appliance.page(one.address), '<h1>second edition</h1>'),
    );
  });
});
