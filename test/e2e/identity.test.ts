import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { Appliance, eventually, GENERATIONS } from '../rack/appliance.ts';
import { makeKey, VirtualPi } from '../rack/virtual-pi.ts';

const BOOT_MS = 8 * 60_000;
const HOST_KEY = '/run/netboot/ssh/ssh_host_ed25519_key';
const SECRET = 'only-anna-knows-of-this-9f2c';

interface Who {
  readonly hostname: string;
  readonly machineId: string;
  readonly hostKey: string;
}

/** Two nodes of one image, told apart by nothing that is in it. */
describe('the identity of a node', { timeout: 60 * 60_000 }, () => {
  let appliance: Appliance;
  let anna: VirtualPi;
  let bert: VirtualPi;
  let first: readonly Who[];
  /** What they have run. */
  const generations = new Set<string>();

  const who = async (pi: VirtualPi): Promise<Who> => ({
    hostname: await pi.run('hostname'),
    machineId: await pi.run('cat /etc/machine-id'),
    hostKey: await pi.run(`cat ${HOST_KEY}.pub`),
  });
  const both = async () => [await who(anna), await who(bert)];
  const bootOf = (pi: VirtualPi) => pi.run('cat /proc/sys/kernel/random/boot_id');
  /** By an order of the appliance: no key to the nodes is needed for that. */
  const rebootBoth = async () => {
    const pis = [anna, bert];
    const before = await Promise.all(pis.map(bootOf));
    await appliance.netboot('reboot', 'anna', 'bert');
    for (const [index, pi] of pis.entries())
      await eventually(BOOT_MS, async () => assert.notEqual(await bootOf(pi), before[index]));
    await eventually(BOOT_MS, async () => {
      for (const { name, state } of (await appliance.nodes()).nodes) assert.equal(state, 'up', name);
    });
  };
  before(async () => {
    appliance = await Appliance.make('who', 'dhcp: full, pool: 192.168.172.100-192.168.172.199');
    await appliance.start();
    await appliance.netboot('build-image', 'web', '--set', 'port=8000');
    await appliance.netboot('add-node', 'ab000031', '--name', 'anna', '--role', 'web');
    await appliance.netboot('add-node', 'ab000032', '--name', 'bert');
    const secret = join(appliance.folder, 'secret');
    await writeFile(secret, `${SECRET}\n`, { mode: 0o600 });
    await appliance.netboot('set-node', 'anna', '--file', `/etc/anna/secret=${secret},mode=0600`);
    await rm(secret);
    const key = await makeKey(appliance);
    anna = new VirtualPi(appliance, 'pi4', 'ab000031', key, 'lives');
    bert = new VirtualPi(appliance, 'pi4', 'ab000032', key, 'lives');
    anna.address = await appliance.addressOf('anna');
    bert.address = await appliance.addressOf('bert');
    await Promise.all([anna.up(), bert.up()]);
    first = await both();
  });

  after(async () => {
    await Promise.all([anna?.off(), bert?.off()]);
    await appliance?.remove();
  });

  it('is another one for each, also within one image', () => {
    const [one, two] = first;
    assert.deepEqual([one?.hostname, two?.hostname], ['anna', 'bert']);
    assert.match(one?.machineId ?? '', /^[0-9a-f]{32}$/);
    assert.match(one?.hostKey ?? '', /^ssh-ed25519 /);
    assert.notEqual(one?.machineId, two?.machineId);
    assert.notEqual(one?.hostKey, two?.hostKey);
  });

  it('is what the operator knows them by: ssh asks nothing', async () => {
    const known = join(appliance.folder, 'known_hosts');
    await writeFile(known, `${await appliance.netboot('known-hosts')}\n`);
    for (const { address, serial } of [anna, bert]) {
      const options = ['StrictHostKeyChecking=yes', `UserKnownHostsFile=${known}`, 'LogLevel=ERROR'];
      const flags = options.flatMap((option) => ['-o', option]);
      const key = join(appliance.folder, 'id_ed25519');
      const id = await appliance.inRack('ssh', '-i', key, ...flags, `root@${address}`, 'cat /etc/machine-id');
      assert.ok(id.endsWith(serial));
    }
  });

  it('brings a node its own files, and no other node', async () => {
    assert.equal(
      await anna.run('cat /etc/anna/secret; stat -c %a:%U /etc/anna/secret'),
      `${SECRET}\n600:root`,
    );
    await assert.rejects(bert.run('cat /etc/anna/secret'), /No such file/);
  });

  it('stays over a reboot', async () => {
    await rebootBoth();
    assert.deepEqual(await both(), first);
  });

  it('stays over a new generation', async () => {
    const { runs = '' } = (await appliance.nodes()).nodes[0] ?? assert.fail('no node');
    await appliance.netboot('build-image', 'web', '--set', 'port=8001');
    await rebootBoth();
    for (const node of (await appliance.nodes()).nodes) {
      assert.notEqual(node.runs, runs);
      generations.add(String(node.runs)).add(runs);
    }
    assert.deepEqual(await both(), first);
  });

  it('comes by itself, later, to a boot that its appliance did not answer: its own host key, its files, its reports', async () => {
    const before = await bootOf(anna);
    await appliance.netboot('reboot', 'anna');
    await eventually(BOOT_MS, async () => {
      const node = (await appliance.nodes()).nodes.find(({ name }) => name === 'anna');
      assert.equal(node?.state, 'root mounted');
    });
    // Its root is served by NFS-Ganesha all the same.
    process.kill(appliance.pid, 'SIGSTOP');
    try {
      await eventually(BOOT_MS, async () => assert.notEqual(await bootOf(anna), before));
      await eventually(60_000, async () =>
        assert.match(
          await anna.run('journalctl -b -u netboot-node -o cat'),
          /no identity from its appliance, and an SSH host key for now/,
        ),
      );
      assert.notEqual((await who(anna)).hostKey, first[0]?.hostKey);
      await assert.rejects(anna.run('cat /etc/anna/secret'), /No such file/);
    } finally {
      process.kill(appliance.pid, 'SIGCONT');
    }

    // It asks at least once a minute.
    await eventually(BOOT_MS, async () => {
      assert.deepEqual(await who(anna), first[0]);
      const shown = await appliance.inRack('ssh-keyscan', '-t', 'ed25519', anna.address);
      assert.ok(
        shown.includes(first[0]?.hostKey.split(' ')[1] ?? 'none'),
        'sshd shows its host key of before',
      );
    });
    assert.equal(await anna.run('cat /etc/anna/secret'), SECRET);
    await eventually(BOOT_MS, async () => {
      for (const { name, state } of (await appliance.nodes()).nodes) assert.equal(state, 'up', name);
    });
    assert.equal(await anna.run('systemctl is-system-running'), 'running');
  });

  it('is in no image, in no export, and in no log', async () => {
    const secrets = [SECRET, Buffer.from(`${SECRET}\n`).toString('base64')];
    for (const pi of [anna, bert]) {
      const lines = (await pi.run(`cat ${HOST_KEY}; cat /run/netboot/report-key`)).split('\n');
      // Of the key file the second line holds the public half and the beginning of the private one.
      secrets.push(
        ...lines
          .slice(2)
          .filter((line) => /^[\w+/=]{30,}/.test(line))
          .map((line) => line.slice(0, 60)),
      );
    }
    assert.ok(secrets.length >= 8, `${secrets.length}`);
    const patterns = join(appliance.folder, 'patterns');
    const unpacked = await mkdtemp(join(tmpdir(), 'netboot-identity-'));
    try {
      await writeFile(patterns, `${secrets.join('\n')}\n`, { mode: 0o600 });
      assert.equal(generations.size, 2);
      for (const id of generations)
        await execa('unsquashfs', [
          '-quiet',
          '-no-progress',
          '-d',
          join(unpacked, id),
          join(GENERATIONS, id, 'root.squashfs'),
        ]);
      await writeFile(join(appliance.folder, 'exports.txt'), await appliance.netboot('exports', '--json'));
      for (const command of ['nodes --json', 'show-node anna --json', 'events --json', 'status --json'])
        await writeFile(join(unpacked, command), await appliance.netboot(...command.split(' ')));
      const places = [
        unpacked,
        join(appliance.folder, 'exports'),
        join(appliance.folder, 'exports.txt'),
        appliance.logFile,
      ];
      places.push(join(appliance.folder, `${anna.serial}.log`), join(appliance.folder, `${bert.serial}.log`));
      const grep = ['-r', '-a', '-l', '-F', '-f', patterns];
      const { stdout, exitCode } = await execa('grep', [...grep, ...places], { reject: false });
      assert.deepEqual([stdout, exitCode], ['', 1]);
      // And that it would be found: it is in the store, which is nobody else's to read.
      const found = await execa('grep', [...grep, join(appliance.folder, 'state')], { reject: false });
      assert.match(found.stdout, /state\.db/);
      for (const file of found.stdout.split('\n')) {
        const { stdout: mode } = await execa('stat', ['-c', '%a', file]);
        assert.equal(mode, '600', file);
      }
      for (const pi of [anna, bert]) {
        await pi.run(`cat >/run/patterns <<'END'\n${secrets.join('\n')}\nEND`);
        const journal = await pi.run('journalctl -b -o cat | grep -a -c -F -f /run/patterns || true');
        assert.equal(journal, '0');
      }
    } finally {
      await rm(patterns, { force: true });
      await rm(unpacked, { recursive: true, force: true });
    }
  });
});
