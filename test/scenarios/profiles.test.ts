import assert from 'node:assert/strict';
import { stat, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { Appliance } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';
import { sealGeneration } from '../rack/sealed.ts';

const OURS = '192.168.172.17';
const SERIALS = ['9ffef001', '9ffef002', '9ffef003'] as const;
const OVERLAY = /(?=.* netboot\.root=overlay )(?=.* netboot\.memory=64M )/;
const SECRET = 'a key that nobody may see';

describe('the nodes of a profile', { timeout: 120_000 }, () => {
  let appliance: Appliance;
  let host: Host;

  before(async () => {
    appliance = await Appliance.make('profiles', 'dhcp: full, pool: 192.168.172.100-192.168.172.150', {
      nfs: 'none',
      generations: 'generations',
    });
    const generations = `${appliance.folder}/generations`;
    const id = await sealGeneration(generations, 'web', {}, undefined, ['root-modes', 'reports']);
    await appliance.start();
    await appliance.publish(id);
    host = await Host.plugIn(appliance, 'meter', '192.168.172.99/24');
    await writeFile(`${appliance.folder}/key`, SECRET);
  });

  after(async () => {
    await host?.unplug();
    await appliance?.remove();
  });

  const commandLine = (serial: string) =>
    host.run('curl', '-sS', '--max-time', '5', `tftp://${OURS}/${serial}/cmdline.txt`);

  it('boot as it says, and otherwise where they say otherwise themselves', async () => {
    const key = `/etc/app/key=${appliance.folder}/key,mode=0640`;
    await appliance.netboot('set-profile', 'rack', '--image', 'web', '--role', 'web', '--file', key);
    for (const serial of SERIALS) await appliance.netboot('add-node', serial, '--profile', 'rack');
    const said = await appliance.netboot('set-profile', 'rack', '--root', 'overlay', '--memory', '64M');
    assert.equal(said, 'changed profile rack of 3 nodes; it takes effect when they boot');
    await appliance.netboot('set-node', SERIALS[2], '--root', 'readonly');
    const [first, second, third] = await Promise.all(SERIALS.map(commandLine));
    for (const line of [first ?? '', second ?? '']) {
      assert.match(line, / systemd\.unit=web-cluster-node\.target /);
      assert.match(line, OVERLAY);
    }
    assert.match(third ?? '', / systemd\.unit=web-cluster-node\.target /);
    assert.doesNotMatch(third ?? '', /netboot\.root/);
  });

  it('do so after kill -9, too, and all that was said is there again', async () => {
    const shown = async () => [
      await appliance.netboot('show-profile', 'rack', '--json'),
      (JSON.parse(await appliance.netboot('show-node', SERIALS[0], '--json')) as { origins: object }).origins,
    ];
    const before = await shown();
    await appliance.netboot('set-profile', 'rack', '--memory', '32M');
    await appliance.netboot('set-profile', 'rack', '--memory', '64M');
    await appliance.stop('SIGKILL');
    await appliance.start();
    assert.deepEqual(await shown(), before);
    await sleep(2200); // a boot of its own
    assert.match(await commandLine(SERIALS[0]), OVERLAY);
  });

  it('have their files to themselves: none is in a log, an event, an answer, or for others to read', async () => {
    assert.ok(!(await appliance.netboot('events', '--json')).includes(SECRET));
    const shown = await appliance.netboot('show-node', SERIALS[1]);
    assert.match(shown, /^\/etc\/app\/key +0640 +root:root +25 +[0-9a-f]{64} +profile rack$/m);
    assert.equal((await stat(`${appliance.folder}/state/state.db`)).mode & 0o777, 0o600);
    const words = [SECRET, Buffer.from(SECRET).toString('base64').slice(0, 30)].flatMap((word) => [
      '-e',
      word,
    ]);
    const { stdout } = await execa('grep', ['-rlaF', ...words, appliance.folder], { reject: false });
    const found = stdout.split('\n');
    const elsewhere = found.filter((file) => !/\/state\.db(-wal)?$|\/key$/.test(file));
    assert.ok(
      found.some((file) => file.includes('state.db')),
      'the secret is where it is to be',
    );
    assert.deepEqual(elsewhere, []);
  });
});
