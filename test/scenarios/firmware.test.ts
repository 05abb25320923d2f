import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { Appliance } from '../rack/appliance.ts';
import { type Host, startRouter } from '../rack/host.ts';
import { sealGeneration } from '../rack/sealed.ts';
import { type Boot, powerOn, powerOnFor } from '../rack/simulate.ts';

const FULL = 'dhcp: full, pool: 192.168.172.100-192.168.172.150, lease: 1h';

const MODELS = [
  { model: 'pi3', options: ['--rom', '3b'], serial: '00ab3b01' },
  { model: 'pi3', options: ['--rom', '3b+'], serial: '00ab3b02' },
  { model: 'pi4', options: [], serial: 'ab000004' },
  { model: 'pi5', options: [], serial: 'ab000005' },
] as const;

/** What holds of every boot, whoever gave the address. */
function checkBoot(boot: Boot, model: string, serial: string): void {
  assert.ok(boot.isKernelServed, boot.transcript);
  const below = boot.asked.filter((path) => path.startsWith(`${serial}/`));
  const names = below.map((path) => path.slice(serial.length + 1).replace(/^\/+/, ''));
  // The firmware reads config.txt before what it names, and the kernel is (all but) the last.
  const order = ['config.txt', 'cmdline.txt', 'kernel8.img'].map((name) => names.lastIndexOf(name));
  assert.ok(
    order.every((place) => place >= 0),
    boot.transcript,
  );
  assert.ok(names.indexOf('config.txt') < (order[1] as number), boot.transcript);
  assert.ok((order[1] as number) < (order[2] as number), boot.transcript);
  assert.match(boot.transcript, /root=\/dev\/nfs .*nfsroot=192\.168\.172\.17:/);
  // Only the mask ROM of a Pi 3 asks outside its own tree, and for these two alone.
  const outside = boot.asked.filter((path) => !path.startsWith(`${serial}/`));
  assert.deepEqual(outside, model === 'pi3' ? ['bootcode.bin', 'bootsig.bin'] : []);
}

describe('every firmware is served its kernel by the only DHCP server', { timeout: 120_000 }, () => {
  let appliance: Appliance;

  before(async () => {
    appliance = await Appliance.make('fwfull', FULL, { nfs: 'none', generations: 'generations' });
    const generation = await sealGeneration(`${appliance.folder}/generations`);
    await appliance.start();
    await appliance.publish(generation);
  });

  after(() => appliance?.remove());

  for (const { model, options, serial } of MODELS) {
    it(`${model} ${options.join(' ')}`, async () => {
      await appliance.netboot('add-node', serial);
      const boot = await powerOn(appliance, model, '--serial', serial, ...options);
      checkBoot(boot, model, serial);
      assert.equal(boot.verbs.includes('REQUEST'), model !== 'pi3', 'a Pi 3 never sends a REQUEST');
      const { nodes } = await appliance.nodes();
      const node = nodes.find((candidate) => candidate.serial === serial);
      // Which address it has is known although a Pi 3 never confirmed it.
      assert.match(node?.ip ?? '', /^192\.168\.172\.1[0-4]\d$/);
      assert.ok(boot.transcript.includes(`${node?.ip}/24`), boot.transcript);
    });
  }
});

describe('every firmware is served its kernel beside another DHCP server', { timeout: 120_000 }, () => {
  let appliance: Appliance;
  let router: Host;

  before(async () => {
    appliance = await Appliance.make('fwproxy', 'dhcp: proxy', { nfs: 'none', generations: 'generations' });
    const generation = await sealGeneration(`${appliance.folder}/generations`);
    router = await startRouter(appliance);
    await appliance.start();
    await appliance.publish(generation);
  });

  after(async () => {
    await router?.unplug();
    await appliance?.remove();
  });

  for (const { model, options, serial } of MODELS) {
    it(`${model} ${options.join(' ')}`, async () => {
      await appliance.netboot('add-node', serial);
      const boot = await powerOn(appliance, model, '--serial', serial, ...options);
      checkBoot(boot, model, serial);
      assert.match(boot.transcript, /OFFER +from 192\.168\.172\.1: 192\.168\.172\.([5-7]\d|80),/);
      assert.match(boot.transcript, /OFFER +from 192\.168\.172\.17: no address \(proxy\)/);
    });
  }
});

describe('a Pi that nobody added', { timeout: 120_000 }, () => {
  const STRANGER = 'ab000009';
  const policies = [
    {
      policy: 'nodes: { unknown: hold }',
      expect: (boot: Boot) => {
        // It may have an address, as any machine of the network; of booting it is told nothing.
        assert.ok(boot.verbs.includes('OFFER'), boot.transcript);
        assert.match(boot.transcript, /not enough to boot: .* no option 43 and no option 66/);
        assert.deepEqual(boot.asked, []);
      },
    },
    {
      policy: 'nodes: { unknown: ignore }',
      expect: (boot: Boot) => {
        assert.deepEqual([...new Set(boot.verbs)], ['DISCOVER'], boot.transcript);
      },
    },
    {
      policy: 'nodes: { unknown: serve, defaultImage: web }',
      expect: (boot: Boot) => checkBoot(boot, 'pi4', STRANGER),
    },
  ];

  for (const { policy, expect } of policies) {
    it(policy, async (t) => {
      const appliance = await Appliance.make('fwpolicy', FULL, {
        nfs: 'none',
        generations: 'generations',
        settings: [policy],
      });
      t.after(() => appliance.remove());
      const generation = await sealGeneration(`${appliance.folder}/generations`);
      await appliance.start();
      await appliance.publish(generation);
      expect(await powerOnFor(6_000, appliance, 'pi4', '--serial', STRANGER));
      const left = (await readdir(tmpdir())).filter((name) => name.includes(`-sim-${appliance.rack}-`));
      assert.deepEqual(left, [], 'a Pi whose power is cut leaves nothing behind');
      const { nodes, waiting } = await appliance.nodes();
      assert.deepEqual(nodes, []);
      assert.deepEqual(
        waiting.map(({ serial, machine }) => ({ serial, machine })),
        [{ serial: STRANGER, machine: 'Pi 4' }],
      );
    });
  }
});

describe('a node whose image is not built', { timeout: 60_000 }, () => {
  it('is told so where its owner looks: on its screen, and in the list of nodes', async (t) => {
    const appliance = await Appliance.make('fwunbuilt', FULL, { nfs: 'none', generations: 'generations' });
    t.after(() => appliance.remove());
    await appliance.start();
    assert.match(
      await appliance.netboot('add-node', 'ab00000a', '--image', 'web'),
      /not built yet: netboot build-image web/,
    );
    const boot = await powerOn(appliance, 'pi4', '--serial', 'ab00000a');
    assert.ok(!boot.isKernelServed);
    assert.match(boot.transcript, /start4\.elf → error 1 "image web .* netboot build-image web"/);
    assert.match(boot.transcript, /FAILED /);
    assert.equal((await appliance.nodes()).nodes[0]?.isImageBuilt, false);

    await appliance.publish(await sealGeneration(`${appliance.folder}/generations`));
    checkBoot(await powerOn(appliance, 'pi4', '--serial', 'ab00000a'), 'pi4', 'ab00000a');
    assert.equal((await appliance.nodes()).nodes[0]?.isImageBuilt, true);
  });
});
