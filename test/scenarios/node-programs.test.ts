import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeNamespace, TOLD_SYSTEMCTL } from '../images/node-namespace.ts';
import { Appliance, eventually } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';
import { sealGeneration } from '../rack/sealed.ts';

const SERIAL = 'ab0000c1';
const HOST_KEY = '/run/netboot/ssh/ssh_host_ed25519_key';
const RUNNING = `${TOLD_SYSTEMCTL}
echo running >/run/systemd-state; echo web-cluster-node.target >/run/active`;

/** The programs of the image, as they are, and the service, over a real network. A boot is no more here than its command line. */
describe('a node that is booted, and its appliance', { timeout: 120_000 }, () => {
  let appliance: Appliance;
  let host: Host;
  let generation: string;

  const netboot = (...args: string[]) => appliance.netboot(...args);
  const fetched = (of: Host, name: string) =>
    of.run('curl', '--silent', '--fail', `tftp://192.168.172.17/${SERIAL}/${name}`);
  /** What the firmware fetches for the kernel, and it; that it does begins a boot. */
  const commandLine = async (of: Host) => {
    const line = await fetched(of, 'cmdline.txt');
    await fetched(of, 'kernel8.img');
    return `${line}\n`;
  };
  const boot = async () => {
    const node = await NodeNamespace.make({
      commandLine: await commandLine(host),
      network: host.namespace,
      prelude: RUNNING,
    });
    const { stderr } = await node.run('node.pl');
    return { node, said: stderr };
  };
  const told = async (node: NodeNamespace) =>
    (await node.shell('cat /run/told')).split('\n').filter((line) => /isolate|reboot/.test(line));
  const stateIs = (state: string) =>
    eventually(20_000, async () =>
      assert.match(await netboot('show-node', SERIAL), new RegExp(`^state +${state}`, 'm')),
    );

  before(async () => {
    appliance = await Appliance.make('nodelife', 'dhcp: proxy', { nfs: 'none', generations: 'sealed' });
    generation = await sealGeneration(join(appliance.folder, 'sealed'), 'web', {}, undefined, ['reports']);
    await appliance.start();
    await appliance.publish(generation);
    await netboot('add-node', SERIAL, '--name', 'anna', '--image', 'web', '--role', 'web');
    await writeFile(join(appliance.folder, 'secret'), 'SECRET-OF-ANNA\n');
    await netboot('set-node', 'anna', '--file', `/srv/memory/secret=${appliance.folder}/secret`);
    host = await Host.plugIn(appliance, 'anna', '192.168.172.61/24');
  });

  after(async () => {
    await host?.unplug();
    await appliance?.remove();
  });

  it('has one host key, whenever it boots, that the appliance prints for known_hosts', async () => {
    const keys: string[] = [];
    for (const time of ['first', 'second']) {
      const { node, said } = await boot();
      try {
        assert.equal(said, '', `the ${time} time`);
        keys.push(await node.shell(`ssh-keygen -yf ${HOST_KEY} | cut -d' ' -f1,2`));
        assert.equal(await node.shell('cat /srv/memory/secret'), 'SECRET-OF-ANNA');
      } finally {
        await node.remove();
      }
      await sleep(5_500); // Who has asked for nothing else and asks again sooner is in the same boot.
    }
    assert.equal(keys[0], keys[1]);
    assert.ok((await netboot('known-hosts')).includes(keys[0] as string));
  });

  it('gets its identity once in a boot, and only there', async () => {
    const { node } = await boot();
    const line = await node.shell('cat /proc/cmdline');
    await node.remove();
    for (const { network, why } of [
      { network: host, why: /it was refused: its identity was asked for twice/ },
      {
        network: await Host.plugIn(appliance, 'thief', '192.168.172.62/24'),
        why: /it was refused: .*without the token/,
      },
    ]) {
      const second = await NodeNamespace.make({ commandLine: `${line}\n`, network: network.namespace });
      const { stderr } = await second.run('node.pl');
      assert.match(stderr, why);
      await second.remove();
      if (network !== host) await network.unplug();
    }
    await sleep(5_500);
  });

  it('is up, takes orders, outlives the service, and says when it goes down', async () => {
    const { node } = await boot();
    let said = '';
    const program = node.start('report.pl', (text) => {
      said += text;
    });
    try {
      await stateIs('up');
      assert.match(await netboot('show-node', SERIAL), new RegExp(`runs +${generation}, root readonly`));
      await netboot('isolate', 'anna', 'multi-user.target');
      assert.deepEqual(await told(node), ['--no-block isolate -- multi-user.target']);

      await appliance.stop('SIGKILL');
      await appliance.start();
      await eventually(30_000, async () => {
        assert.match(said, /takes reports again/);
      });
      await netboot('isolate', 'anna', 'web');
      await eventually(5_000, async () => {
        assert.equal((await told(node)).at(-1), '--no-block isolate -- web-cluster-node.target');
      });
      await stateIs('up');

      await netboot('reboot', 'anna');
      await eventually(5_000, async () => {
        assert.equal((await told(node)).at(-1), 'reboot');
      });
      await node.shell('echo stopping >/run/systemd-state');
      program.kill('SIGTERM');
      await stateIs('off');
    } finally {
      program.kill('SIGKILL');
      await node.remove();
    }
  });

  it('gets its identity when the appliance is back, though its boot went on without', async () => {
    await sleep(5_500);
    const line = await commandLine(host);
    await appliance.stop('SIGKILL');
    const node = await NodeNamespace.make({
      commandLine: line,
      network: host.namespace,
      prelude: RUNNING,
    });
    const { stderr } = await node.run('node.pl');
    assert.match(stderr, /has no identity from its appliance, and an SSH host key for now: /);
    const meantime = await node.shell(`ssh-keygen -yf ${HOST_KEY} | cut -d' ' -f1,2`);
    let said = '';
    const program = node.start('report.pl', (text) => {
      said += text;
    });
    try {
      await sleep(3_000);
      await appliance.start();
      await eventually(30_000, async () => assert.match(said, /this node has its identity/));
      await stateIs('up');
      const key = await node.shell(`ssh-keygen -yf ${HOST_KEY} | cut -d' ' -f1,2`);
      assert.notEqual(key, meantime);
      assert.ok((await netboot('known-hosts')).includes(key));
      assert.equal(await node.shell('cat /srv/memory/secret'), 'SECRET-OF-ANNA');
      assert.match(await node.shell('cat /run/told'), /^--no-block try-restart ssh\.service$/m);
      assert.match(await node.shell('ls /run/netboot'), /^hosts\nreport-key\nresolv\.conf\nssh$/);
    } finally {
      program.kill('SIGKILL');
      await node.remove();
    }
  });

  it('gives nothing to a user of the node who is not root', async () => {
    await sleep(5_500);
    const token = /netboot\.token=(\S+)/.exec(await commandLine(host))?.[1] ?? '';
    const body = `serial ${SERIAL}\nsince ${token.split('.')[0]}\nnonce ${'0'.repeat(32)}\n`;
    const mac = createHmac('sha256', token).update(`/v1/identity\n${body}`).digest('hex');
    const ask = [
      '--data-binary',
      body,
      '--header',
      `Netboot-Mac: ${mac}`,
      'http://192.168.172.17:8064/v1/identity',
    ];
    const told = await host.run('setpriv', '--reuid', 'nobody', '--clear-groups', 'curl', '--silent', ...ask);
    assert.match(told, /by a program that is not root/);
    const asRoot = await host.run('curl', '--silent', '--local-port', '600-1023', ...ask);
    assert.match(asRoot, /^report-key /, 'the same request, of root');
  });

  it('left no key in what was logged', async () => {
    const log = await appliance.log();
    assert.ok(!/PRIVATE KEY|SECRET-OF-ANNA/.test(log));
    assert.ok(!log.includes(Buffer.from('SECRET-OF-ANNA').toString('base64').slice(0, 16)));
    for (const name of await readdir(join(appliance.folder, 'exports'), { recursive: true })) {
      const text = await readFile(join(appliance.folder, 'exports', name), 'latin1').catch(() => '');
      assert.ok(!/PRIVATE KEY|SECRET-OF-ANNA/.test(text), name);
    }
  });
});
