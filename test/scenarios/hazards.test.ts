import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { after, before, describe, it, type TestContext } from 'node:test';
import { execa } from 'execa';
import type { LeaseStatus, StatusAnswer } from '../../src/api/schemas.ts';
import { fnv1a } from '../../src/net/fnv1a.ts';
import { Appliance, eventually } from '../rack/appliance.ts';
import { Host, startRouter } from '../rack/host.ts';
import { sealGeneration } from '../rack/sealed.ts';
import { powerOn } from '../rack/simulate.ts';

const FULL = 'dhcp: full, pool: 192.168.172.100-192.168.172.150, lease: 1h';
const OURS = '192.168.172.17';

const statusOf = async (appliance: Appliance) =>
  JSON.parse(await appliance.netboot('status', '--json')) as StatusAnswer;
const leasesOf = async (appliance: Appliance) =>
  JSON.parse(await appliance.netboot('leases', '--json')) as LeaseStatus[];
const warningsOf = async (appliance: Appliance) => (await statusOf(appliance)).warnings.map(({ id }) => id);

/** Runs test/rack/hazard-client.ts to its end; gives what it printed. */
function runClient(host: Host, ...args: string[]): Promise<string> {
  const lines: string[] = [];
  const child = host.startScript('hazard-client.ts', args, (line) => lines.push(line));
  return new Promise((resolve) => child.once('close', () => resolve(lines.join('\n'))));
}

async function plugIn(t: TestContext, appliance: Appliance, name: string, address?: string): Promise<Host> {
  const host = await Host.plugIn(appliance, name, address);
  t.after(() => host.unplug());
  return host;
}

describe('another DHCP server on the wire', { timeout: 120_000 }, () => {
  let appliance: Appliance;

  before(async () => {
    appliance = await Appliance.make('rival', FULL, { nfs: 'none', generations: 'generations' });
  });
  after(() => appliance?.remove());

  it('is found before full DHCP starts: refused with its address, and --force starts all the same (checklist 26)', async (t) => {
    const router = await startRouter(appliance);
    t.after(() => router.unplug());
    const refused = await appliance.attempt(['--config', appliance.configFile, 'serve']);
    assert.equal(refused.exitCode, 3, refused.stderr);
    assert.match(
      refused.stderr,
      /Another DHCP server answers on interface "br0": 192\.168\.172\.1\. .*--force/,
    );
    assert.doesNotMatch(refused.stdout, /DHCP_OFFER|DHCP_OPEN|READY/);

    await appliance.start({ args: ['--force'] });
    await eventually(10_000, async () => assert.deepEqual(await warningsOf(appliance), ['DHCP_RIVAL br0']));
    assert.match(
      await appliance.netboot('status'),
      /warning: another DHCP server answers on br0: 192\.168\.172\.1/,
    );
    await appliance.stop();
  });

  it('is found although a DHCP client of this machine has port 68, and that client goes on', async (t) => {
    const router = await startRouter(appliance);
    t.after(() => router.unplug());
    const client = `import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 68))
time.sleep(60)`;
    const prelude = `python3 -c '${client}' >/dev/null 2>&1 & echo $! > ${appliance.folder}/client.pid; sleep 1`;
    const refused = await appliance.attempt(['--config', appliance.configFile, 'serve'], { prelude });
    process.kill(Number(await readFile(`${appliance.folder}/client.pid`, 'utf8')));
    assert.equal(refused.exitCode, 3, refused.stderr);
    assert.match(refused.stderr, /Another DHCP server answers on interface "br0": 192\.168\.172\.1\./);
  });

  it('is not ourselves under a new address: our own broadcasts raise nothing', async (t) => {
    await appliance.start();
    const change = (verb: string, address: string) =>
      appliance.inRack('ip', 'address', verb, `${address}/24`, 'dev', 'br0');
    await change('delete', OURS);
    await change('add', '192.168.172.18');
    await eventually(30_000, async () =>
      assert.equal((await statusOf(appliance)).interfaces[0]?.address, '192.168.172.18'),
    );
    const laptop = await plugIn(t, appliance, 'notebook');
    assert.match(await laptop.udhcpc(), /obtained/);
    assert.deepEqual(await warningsOf(appliance), []);
    await appliance.stop();
    await change('delete', '192.168.172.18');
    await change('add', OURS);
  });

  it('that comes later is heard and warned of; its clients cost the others nothing', async (t) => {
    await appliance.start();
    assert.deepEqual(await warningsOf(appliance), []);
    const router = await startRouter(appliance);
    t.after(() => router.unplug());
    const laptop = await plugIn(t, appliance, 'laptop');
    await laptop.run('udhcpc', ...'-i eth0 -B -n -q -f -s /bin/true -t 6 -T 2'.split(' '));
    await eventually(15_000, async () => {
      if ((await warningsOf(appliance)).length > 0) return;
      await laptop.run('udhcpc', ...'-i eth0 -B -n -q -f -s /bin/true -t 6 -T 2'.split(' '));
      throw new Error('the router has not answered yet');
    });
    assert.deepEqual(await warningsOf(appliance), ['DHCP_RIVAL br0']);
    await appliance.stop();
  });

  it('is what "init" chooses by: proxy beside it, full where there is none', async () => {
    const file = `${appliance.folder}/init.yaml`;
    const init = async () =>
      (await appliance.attempt(['init', '--interface', 'br0', '--output', file, '--force'])).stdout;
    assert.match(await init(), /dhcp full: no DHCP server answered/);
    const router = await startRouter(appliance);
    assert.match(await init(), /dhcp proxy: the DHCP server 192\.168\.172\.1 is there/);
    await router.unplug();
  });

  it('is not asked for again by a service that was killed: its rack is waiting', async () => {
    await appliance.start();
    await appliance.stop('SIGKILL');
    appliance.launch();
    await eventually(10_000, async () => {
      const { interfaces } = await statusOf(appliance);
      assert.deepEqual(
        interfaces.map(({ isHeldBack }) => isHeldBack),
        [false],
      );
    });
    await appliance.stop();
  });
});

describe('the network around the appliance', { timeout: 180_000 }, () => {
  let appliance: Appliance;

  before(async () => {
    appliance = await Appliance.make(
      'hazards',
      'dhcp: full, pool: 192.168.172.100-192.168.172.109, lease: 1h',
      {
        nfs: 'none',
        generations: 'generations',
      },
    );
    const generation = await sealGeneration(`${appliance.folder}/generations`);
    await appliance.start();
    await appliance.publish(generation);
  });
  after(() => appliance?.remove());

  it('an address that a machine uses without a lease is not offered', async (t) => {
    await plugIn(t, appliance, 'printer', '192.168.172.100/24');
    const laptop = await plugIn(t, appliance, 'laptop');
    // One that the pool's first address is for.
    const number = Array.from({ length: 100 }, (_, index) => index).find(
      (index) => fnv1a(macNumber(index)) % 10 === 0,
    ) as number;
    await laptop.run('ip', 'link', 'set', 'eth0', 'address', macNumber(number));
    assert.match(await laptop.udhcpc(), /lease of 192\.168\.172\.10[1-9] obtained/);
    const taken = (await leasesOf(appliance)).find(({ address }) => address === '192.168.172.100');
    assert.equal(taken?.state, 'declined');
    assert.match(await appliance.log(), /192\.168\.172\.100 is used by .*, which did not get it from us/);
  });

  it('an address of which the kernel only remembers somebody is offered', async (t) => {
    const laptop = await plugIn(t, appliance, 'notebook');
    const number = Array.from({ length: 100 }, (_, index) => index).find(
      (index) => fnv1a(macNumber(index)) % 10 === 5,
    ) as number;
    await laptop.run('ip', 'link', 'set', 'eth0', 'address', macNumber(number));
    const gone = '192.168.172.105 lladdr 02:00:00:00:77:77 dev br0 nud stale'.split(' ');
    await appliance.inRack('ip', 'neigh', 'replace', ...gone);
    assert.match(await laptop.udhcpc(), /lease of 192\.168\.172\.105 obtained/);
  });

  it('a switch that runs spanning tree is warned of, once, with the remedy (checklist 27)', async (t) => {
    const gate = await plugIn(t, appliance, 'switch');
    await runClient(gate, 'bpdu', '5');
    await eventually(10_000, async () =>
      assert.deepEqual(await warningsOf(appliance), ['SPANNING_TREE br0']),
    );
    assert.match(
      await appliance.netboot('status'),
      /spanning tree \(BPDUs from 00:1b:21:00:00:01\).*PortFast/,
    );
    assert.equal((await appliance.log()).match(/"warning":"SPANNING_TREE br0"/g)?.length, 1);
  });

  it('a Pi 3 that fetches its files has a fixed neighbour entry, which goes with the service (checklist 48)', async () => {
    await appliance.netboot('add-node', '00ab3b01');
    const boot = await powerOn(appliance, 'pi3', '--serial', '00ab3b01', '--rom', '3b');
    assert.ok(boot.isKernelServed, boot.transcript);
    const permanent = () => appliance.inRack('ip', 'neigh', 'show', 'nud', 'permanent');
    assert.match(await permanent(), /^192\.168\.172\.10\d dev br0 lladdr b8:27:eb:ab:3b:01 PERMANENT/);
    await appliance.stop();
    assert.equal(await permanent(), '');
    await appliance.start();
  });

  it('every reply has the address of the interface it leaves by (checklist 28)', async (t) => {
    const rack = `nb-${appliance.rack}`;
    const far = `${rack}-far`;
    const near = await plugIn(t, appliance, 'near');
    await execa('ip', ['netns', 'add', far]);
    t.after(() => execa('ip', ['netns', 'delete', far]));
    await execa('ip', [
      '-n',
      rack,
      'link',
      'add',
      'br1',
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      far,
    ]);
    await execa('ip', ['-n', rack, 'address', 'add', '10.9.8.1/24', 'dev', 'br1']);
    await execa('ip', ['-n', rack, 'link', 'set', 'br1', 'up']);
    await execa('ip', ['-n', far, 'link', 'set', 'eth0', 'up']);
    await appliance.stop();
    const { stdout } = await execa('cat', [appliance.configFile]);
    const two = 'br1: { dhcp: full, pool: 10.9.8.100-10.9.8.120 }, br0:';
    await writeFile(appliance.configFile, stdout.replace('br0:', two));
    await appliance.start();
    await appliance.netboot('add-node', 'ab0000c1', '--mac', 'dc:a6:32:00:00:c1');

    const ask = ['pi', 'dc:a6:32:00:00:c1', 'ab0000c1'];
    const script = [process.execPath, `${import.meta.dirname}/../rack/hazard-client.ts`, ...ask];
    const answers = {
      near: JSON.parse(await runClient(near, ...ask)),
      far: JSON.parse((await execa('ip', ['netns', 'exec', far, ...script])).stdout),
    };
    for (const [where, own] of [
      ['near', OURS],
      ['far', '10.9.8.1'],
    ] as const) {
      const { server, siaddr, tftp, source } = answers[where];
      assert.deepEqual(
        { server, siaddr, tftp, source },
        { server: own, siaddr: own, tftp: own, source: own },
        where,
      );
    }
    assert.match(answers.far.yiaddr, /^10\.9\.8\.1[0-2]\d$/);
    await appliance.stop();
    await writeFile(appliance.configFile, stdout);
    await appliance.start();
  });
});

describe('too much and too little', { timeout: 180_000 }, () => {
  let appliance: Appliance;

  before(async () => {
    appliance = await Appliance.make('toomuch', FULL, {
      nfs: 'none',
      generations: 'generations',
      log: 'info',
    });
    const generation = await sealGeneration(`${appliance.folder}/generations`);
    const state = `${appliance.folder}/state`;
    await appliance.start({ prelude: `mkdir -p ${state}; mount -t tmpfs -o size=6m none ${state}` });
    await appliance.publish(generation);
  });
  after(() => appliance?.remove());

  it('a flood of DISCOVERs from invented MACs stops neither a known node nor who has a lease', async (t) => {
    const [laptop, attacker] = [await plugIn(t, appliance, 'laptop'), await plugIn(t, appliance, 'attacker')];
    const said = await laptop.udhcpc();
    const address = /lease of (\S+) obtained/.exec(said)?.[1] as string;
    const mac = JSON.parse(await laptop.run('ip', '-j', 'link', 'show', 'eth0'))[0].address as string;
    await appliance.netboot('add-node', 'ab000077');
    const before = await statusOf(appliance);

    const flooding = runClient(attacker, 'flood', '30000');
    await eventually(20_000, async () => {
      const { dhcp } = (await statusOf(appliance)).counters;
      assert.ok((dhcp.received as number) > 5_000);
    });
    const boot = await powerOn(appliance, 'pi4', '--serial', 'ab000077');
    assert.ok(boot.isKernelServed, boot.transcript);
    const renewed = JSON.parse(await runClient(laptop, 'renew', mac, address));
    assert.deepEqual([renewed.type, renewed.yiaddr], [5, address]);
    await flooding;

    const status = await statusOf(appliance);
    const leases = await leasesOf(appliance);
    assert.ok(leases.length <= 51, `${leases.length} leases of a pool of 51`);
    assert.equal(new Set(leases.map((lease) => lease.address)).size, leases.length);
    const grown = Math.round((status.memoryBytes - before.memoryBytes) / 2 ** 20);
    t.diagnostic(`${JSON.stringify(status.counters.dhcp)}; memory grew by ${grown} MiB`);
    assert.ok(grown < 60, `${grown} MiB`);
    assert.equal(status.counters.dhcp.internalError, 0);
  });

  it('a disk that is full keeps every ACK back, is an alarm, and is over when there is room', async (t) => {
    const laptop = await plugIn(t, appliance, 'latecomer');
    // No hold of the flood's is in the way, and the client has a node's address.
    const mac = JSON.parse(await laptop.run('ip', '-j', 'link', 'show', 'eth0'))[0].address as string;
    await appliance.netboot('add-node', 'ab000078', '--mac', mac, '--ip', '192.168.172.99');
    const filler = `/proc/${appliance.pid}/root${appliance.folder}/state/filler`;
    await writeFile(filler, Buffer.alloc(16 * 2 ** 20)).catch((error: NodeJS.ErrnoException) => {
      assert.equal(error.code, 'ENOSPC');
    });
    // The last page of the log may have room for one transaction more.
    const fill = async () => {
      for (let index = 0; index < 20; index++) await appliance.netboot('add-node', `ab0001${10 + index}`);
    };
    await assert.rejects(fill, /is full/);
    const attempts = laptop.run('udhcpc', ...'-i eth0 -n -q -f -s /bin/true -t 2 -T 1'.split(' '));
    await assert.rejects(attempts, /no lease, failing/);
    assert.deepEqual(await warningsOf(appliance), ['LEASES_NOT_STORED']);
    assert.match(await appliance.netboot('status'), /warning: leases cannot be stored.*is full/);
    assert.equal(
      (await leasesOf(appliance)).find((lease) => lease.address === '192.168.172.99')?.state,
      'offered',
    );
    await rm(filler);
    assert.match(await laptop.udhcpc(), /lease of 192\.168\.172\.99 obtained/);
    assert.deepEqual(await warningsOf(appliance), []);
  });
});

function macNumber(index: number): string {
  return `02:00:00:00:01:${index.toString(16).padStart(2, '0')}`;
}
