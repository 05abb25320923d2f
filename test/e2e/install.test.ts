import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import type { NodesAnswer } from '../../src/api/schemas.ts';
import { loopNumber } from '../../src/nfs/fingerprint.ts';
import { eventually, NETBOOT, REPOSITORY } from '../rack/appliance.ts';
import { Container } from '../rack/container.ts';
import { sealGeneration } from '../rack/sealed.ts';
import { powerOn } from '../rack/simulate.ts';

/** What `git clone` brings. */
const CHECKOUT = [
  ...['package.json', 'package-lock.json', '.npmrc', 'README.md', 'LICENSE'],
  ...['src', 'scripts', 'images', 'systemd'],
];
const CAP_NET_BIND_SERVICE = 10;
const SERIAL = '9ffefdef';

/** From a checkout to a Pi that is served, by systemd, as the README's "Use it, with Pis" tells it. */
describe('scripts/install.sh on a Debian machine', { timeout: 30 * 60_000 }, () => {
  const rack = `install-${process.pid}`;
  let machine: Container;

  before(async () => {
    await execa(NETBOOT, ['sim', 'rack-up', rack]);
    machine = await Container.boot(`nb-${rack}`);
    // As a person's checkout under a strict umask: what root will run must not stay theirs, nor theirs alone to read.
    await mkdir(join(machine.root, 'home/alice/netboot'), { recursive: true });
    const files = CHECKOUT.map((name) => join(REPOSITORY, name));
    await execa('cp', ['-r', ...files, join(machine.root, 'home/alice/netboot')]);
    await machine.sh(`useradd alice; useradd bob
      chown -R alice: /home/alice; chmod -R go= /home/alice`);
  });

  after(async () => {
    await machine?.remove();
    await execa(NETBOOT, ['sim', 'rack-down', rack]);
  });

  const install = (...args: string[]) => machine.run('/home/alice/netboot/scripts/install.sh', ...args);
  const isActive = (...units: string[]) =>
    machine.sh(`systemctl is-active ${units.join(' ')} || true`).then((text) => text.split('\n'));
  const property = (unit: string, name: string) =>
    machine.run('systemctl', 'show', '--value', '--property', name, unit);
  const nodes = async () => JSON.parse(await machine.run('netboot', 'nodes', '--json')) as NodesAnswer;
  const ganeshas = () => machine.sh('pgrep --exact ganesha.nfsd || true');
  const readByNfs = async (path: string) => {
    const url = `nfs://192.168.172.17${path}?version=3`;
    return (await execa('ip', ['netns', 'exec', `nb-${rack}`, 'nfs-cat', url], { timeout: 20_000 })).stdout;
  };

  it('installs without an interface, serves nothing yet and says what is next', async () => {
    const said = await install();
    assert.match(said, /nothing is served yet.*\n.*netboot init --interface NAME/);
    assert.deepEqual(await isActive('netboot', 'netboot-exports'), ['inactive', 'inactive']);
    assert.match(
      await machine.run('netboot', 'init', '--output', '/root/guess.yaml'),
      /br0 .*dhcp full: no DHCP/,
    );
  });

  it('installs and starts everything for the interface that is named', async () => {
    const said = await install('--interface', 'br0', '--dhcp', 'full');
    assert.match(said, /interface br0: 192\.168\.172\.17 in 192\.168\.172\.0\/24, dhcp full/);
    assert.deepEqual(await isActive('netboot', 'netboot-exports'), ['active', 'active']);
    const enabled = await machine.run('systemctl', 'is-enabled', 'netboot', 'netboot-exports');
    assert.equal(enabled, 'enabled\nenabled');
  });

  it('leaves no file that anyone but root may write where root runs it', async () => {
    const folders = '/usr/lib/netboot /usr/share/netboot /usr/bin/netboot /var/cache/netboot/node';
    const others = await machine.sh(`find ${folders} ! -type l \\( ! -user root -o -perm /022 \\) | head`);
    assert.equal(others, '');
    await assert.rejects(
      machine.sh('runuser -u netboot -- mv /var/lib/netboot/generations /var/lib/netboot/mine'),
      /not permitted/,
    );
  });

  it('has units without a mistake, which keep the sandbox they were given', async () => {
    const units = ['netboot.service', 'netboot-exports.service', 'netboot-build@web.service'];
    assert.equal(await machine.run('systemd-analyze', 'verify', ...units), '');
    for (const [unit, threshold] of [
      ['netboot.service', 20],
      ['netboot-exports.service', 50],
    ] as const)
      await machine.run('systemd-analyze', 'security', `--threshold=${threshold}`, '--no-pager', unit);
    // What the exports unit mounts, the kernel's NFS server must see.
    const pid = await property('netboot-exports', 'MainPID');
    assert.equal(
      await machine.run('readlink', `/proc/${pid}/ns/mnt`),
      await machine.run('readlink', '/proc/1/ns/mnt'),
    );
  });

  it('runs as a user of its own that may open low ports and nothing else', async () => {
    const status = await machine.run('cat', `/proc/${await property('netboot', 'MainPID')}/status`);
    const uid = await machine.run('id', '--user', 'netboot');
    assert.equal(/^Uid:\s+(\d+)/m.exec(status)?.[1], uid);
    for (const set of ['Eff', 'Bnd'])
      assert.equal(
        BigInt(`0x${new RegExp(`^Cap${set}:\\s+(\\w+)`, 'm').exec(status)?.[1]}`),
        1n << BigInt(CAP_NET_BIND_SERVICE),
      );
  });

  it('answers root and the group netboot, and tells others why it does not', async () => {
    const asAlice = () => machine.run('runuser', '-u', 'alice', '--', 'netboot', 'status');
    assert.match(await machine.run('netboot', 'status'), /^netboot /);
    await assert.rejects(asAlice(), /may not use the service's socket .*join the group "netboot"/);
    await machine.run('usermod', '--append', '--groups', 'netboot', 'alice');
    assert.match(await asAlice(), /^netboot /);
  });

  it('exports the web content by Ganesha, which lives in the exports unit', async () => {
    await writeFile(join(machine.root, 'exports/www/html/index.html'), '<h1>installed</h1>\n');
    assert.equal(await readByNfs('/exports/www/html/index.html'), '<h1>installed</h1>');
    const cgroup = await machine.run('cat', `/proc/${await ganeshas()}/cgroup`);
    assert.match(cgroup, /netboot-exports\.service$/m);
    assert.deepEqual(await isActive('nfs-ganesha'), ['inactive']);
  });

  it('serves a Pi that was added all it boots with, and its root', async () => {
    const generation = await sealGeneration(join(machine.root, 'var/lib/netboot/generations'));
    await makeLoopDevices(`/exports/images/${generation}`);
    const published = await machine.run(
      ...(['curl', '--silent', '--fail-with-body', '--unix-socket', '/run/netboot/api.sock'] as const),
      ...['--json', JSON.stringify({ generation }), 'http://netboot/v1/images/web/publish'],
    );
    assert.match(published, /revision/);
    await machine.run('netboot', 'add-node', SERIAL);
    const boot = await powerOn({ rack }, 'pi4', '--serial', SERIAL);
    assert.ok(boot.isKernelServed, boot.transcript);
    assert.match(boot.transcript, new RegExp(`nfsroot=\\S*/exports/images/${generation}`));
    assert.equal(await readByNfs(`/exports/images/${generation}/etc/hostname`), 'web');
  });

  it('gives a node a disk of its own, which grows when the node boots, from within the sandbox', async () => {
    const disk = `/exports/private/${SERIAL}/block.ext4`;
    const size = async () => Number(await machine.sh(`stat --format %s ${disk} 2> /dev/null || true`));
    await machine.run('netboot', 'set-node', SERIAL, '--block', '64M');
    await eventually(10_000, async () => assert.equal(await size(), 64 * 2 ** 20));
    assert.match(
      await machine.run('netboot', 'exports'),
      new RegExp(`private/${SERIAL} +192\\.168\\.172\\.\\d+/32 .* ok`),
    );
    await machine.run('netboot', 'set-node', SERIAL, '--block', '96M');
    await eventually(10_000, async () =>
      assert.match(await machine.run('netboot', 'exports'), /it grows to 96M when the node boots next/),
    );
    assert.equal(await size(), 64 * 2 ** 20);
    assert.ok((await powerOn({ rack }, 'pi4', '--serial', SERIAL)).isKernelServed);
    await eventually(10_000, async () => assert.equal(await size(), 96 * 2 ** 20));
    assert.match(await machine.run('e2fsck', '-f', '-n', disk), /netboot-block: 11\//);
    await assert.rejects(machine.run('netboot', 'reset-private', SERIAL), /may be writing to its disk/);
    await machine.run('netboot', 'reset-private', SERIAL, '--force');
    assert.equal(await size(), 96 * 2 ** 20);
    await assert.rejects(readByNfs(disk), 'the appliance is not that node');
    assert.doesNotMatch(await machine.run('netboot', 'exports', '--json'), /"problem"/);
    await machine.run('netboot', 'set-node', SERIAL, '--block', '');
  });

  it('comes back when it is killed, with its nodes and without a word to NFS clients', async () => {
    const before = { service: await property('netboot', 'MainPID'), nfs: await ganeshas() };
    await machine.run('systemctl', 'kill', '--signal=KILL', 'netboot');
    await eventually(20_000, async () => {
      assert.ok(!['0', before.service].includes(await property('netboot', 'MainPID')));
      assert.deepEqual(await isActive('netboot'), ['active']);
    });
    assert.deepEqual(
      (await nodes()).nodes.map(({ serial }) => serial),
      [SERIAL],
    );
    assert.equal(await ganeshas(), before.nfs);
    assert.doesNotMatch(await machine.run('netboot', 'exports', '--json'), /"problem"/);
  });

  it('keeps the configuration and the nodes when it is installed again', async () => {
    await machine.sh('echo "# mine" >> /etc/netboot/netboot.yaml');
    assert.match(await install('--interface', 'br0'), /Keeping \/etc\/netboot\/netboot\.yaml/);
    assert.match(await machine.run('cat', '/etc/netboot/netboot.yaml'), /dhcp: full.*# mine$/s);
    assert.deepEqual(
      (await nodes()).nodes.map(({ serial }) => serial),
      [SERIAL],
    );
    assert.equal(await readByNfs('/exports/www/html/index.html'), '<h1>installed</h1>');
  });

  it('switches power from within its sandbox, and ends what hangs', async () => {
    const plug = `require('node:http').createServer(({ url }, answer) => answer.end(url)).listen(8099, '192.168.172.17',
      () => console.log('listening'))`;
    const listening = spawn('ip', ['netns', 'exec', `nb-${rack}`, process.execPath, '-e', plug]);
    try {
      await once(listening.stdout, 'data');
      const commands = `power:
  plug: { on: [curl, -fsS, 'http://{outlet}/on'], off: [curl, -fsS, 'http://{outlet}/off'] }
  hanging: { cycle: [sleep, '7358'], timeout: 1 }
  nowhere: { cycle: [curl, -fsS, 'http://{outlet}/'] }`;
      await machine.sh(`cp /etc/netboot/netboot.yaml /root/kept.yaml
        echo "${commands}" >> /etc/netboot/netboot.yaml; systemctl restart netboot`);
      await eventually(20_000, () => machine.run('netboot', 'status'));
      await machine.run('netboot', 'set-node', SERIAL, '--power', 'plug', '--outlet', '192.168.172.17:8099');
      assert.match(await machine.run('netboot', 'power', SERIAL, 'cycle'), /off and on again/);
      await machine.run('netboot', 'set-node', SERIAL, '--power', 'hanging');
      await assert.rejects(
        machine.run('netboot', 'power', SERIAL, 'cycle'),
        /by "sleep": it was ended after 1 s/,
      );
      assert.equal(await machine.sh('pgrep --exact sleep || true'), '');
      await machine.run(
        'netboot',
        'set-node',
        SERIAL,
        '--power',
        'nowhere',
        '--outlet',
        '192.168.172.17:8098',
      );
      await assert.rejects(machine.run('netboot', 'power', SERIAL, 'cycle'), /exit 7, "curl: \(7\)/);
      await machine.sh('cp /root/kept.yaml /etc/netboot/netboot.yaml; systemctl restart netboot');
      await eventually(20_000, () => machine.run('netboot', 'status'));
    } finally {
      listening.kill('SIGKILL');
    }
  });

  it('tells of exports that nobody serves, and boots Pis all the same', async () => {
    await machine.run('systemctl', 'stop', 'netboot-exports');
    await eventually(10_000, async () =>
      assert.match(await machine.run('netboot', 'exports'), /systemctl status netboot-exports/),
    );
    assert.ok((await powerOn({ rack }, 'pi4', '--serial', SERIAL)).isKernelServed);
  });

  it('leaves nothing running or mounted when it is stopped', async () => {
    await machine.run('systemctl', 'start', 'netboot-exports');
    await eventually(20_000, async () => assert.match(await ganeshas(), /^\d+$/));
    await machine.run('systemctl', 'stop', 'netboot', 'netboot-exports');
    assert.equal(await ganeshas(), '');
    assert.equal(await machine.sh('findmnt --noheadings --types squashfs || true'), '');
    assert.equal(
      await machine.sh('grep -ls /var/lib/netboot/ /sys/block/loop*/loop/backing_file || true'),
      '',
    );
    assert.equal(await machine.run('ss', '-Hltn', 'sport = :2049 or sport = :20048'), '');
    assert.equal(await machine.run('ss', '-Hlun', 'sport = :67 or sport = :69'), '');
  });

  /** The device files that the kernel would make by itself on a machine with a /dev of its own. */
  async function makeLoopDevices(exportPath: string): Promise<void> {
    await machine.sh(`mknod /dev/loop-control c 10 237
      for attempt in 0 1 2; do n=$((${loopNumber(exportPath)} + attempt)); mknod /dev/loop$n b 7 $n; done`);
  }
});
