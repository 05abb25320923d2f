import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { PowerAnswer } from '../../src/api/schemas.ts';
import type { ToldEvent } from '../../src/fleet/events.ts';
import { api } from '../rack/api.ts';
import { Appliance, eventually, NETBOOT } from '../rack/appliance.ts';
import { sealGeneration } from '../rack/sealed.ts';

/** The service switches virtual Pis in outlets, by the commands of its configuration; what they run is simulated. */

const TEMPLATES = `power:
  sim:
    on: [${NETBOOT}, sim, power, '{serial}', on, --rack, RACK]
    off: [${NETBOOT}, sim, power, '{serial}', off, --rack, RACK]
  plug: { cycle: [${NETBOOT}, sim, power, '{outlet}', cycle, --rack, RACK] }
  hanging: { cycle: [FOLDER/hang, '{ip}', a-pass-word], timeout: 2 }
  failing: { on: ['false'], off: [sh, -c, 'echo "port {outlet} is no port of this switch" >&2; exit 5'] }
`;

describe('power', { timeout: 240_000 }, () => {
  let appliance: Appliance;
  const pis: ChildProcess[] = [];

  before(async () => {
    const settings = 'dhcp: full, pool: 192.168.172.100-192.168.172.199';
    appliance = await Appliance.make('power', settings, { nfs: 'none', generations: 'generations' });
    const { folder, configFile, rack } = appliance;
    await writeFile(join(folder, 'hang'), '#!/bin/sh\necho waiting; sleep 7357 & sleep 7357\n', {
      mode: 0o755,
    });
    const templates = TEMPLATES.replaceAll('RACK', rack).replaceAll('FOLDER', folder);
    await writeFile(configFile, `${await readFile(configFile, 'utf8')}${templates}`);
    await appliance.start();
    await appliance.publish(await sealGeneration(`${folder}/generations`, 'web', {}, 'power', ['reports']));
    await appliance.netboot('add-node', '9ffef001', '--name', 'pi-one', '--power', 'sim');
    await appliance.netboot('set-profile', 'plugged', '--power', 'plug');
    const plugged = ['--profile', 'plugged', '--outlet', '9ffef002'];
    await appliance.netboot('add-node', '9ffef002', '--name', 'pi-two', ...plugged);
    await appliance.netboot(
      'add-node',
      '9ffef003',
      '--name',
      'pi-three',
      '--power',
      'failing',
      '--outlet',
      '17',
    );
    for (const serial of ['9ffef001', '9ffef002']) {
      const argv = [
        'sim',
        'pi4',
        '--serial',
        serial,
        '--rack',
        rack,
        '--agent',
        '--serve',
        '8000',
        '--outlet',
      ];
      pis.push(spawn(NETBOOT, argv, { stdio: 'ignore' }));
    }
  });

  after(async () => {
    await appliance?.remove();
    // Taking its rack down has ended them.
    for (const pi of pis) if (pi.exitCode === null) await once(pi, 'exit');
    assert.equal(existsSync(`/run/netboot-sim/${appliance.rack}`), false);
  });

  const events = async (kind: string) =>
    (await appliance.netboot('events', '--json'))
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as ToldEvent)
      .filter((event) => event.kind === kind);
  const stateOf = async (name: string) =>
    (await appliance.nodes()).nodes.find((node) => node.name === name) as unknown as {
      state: string;
      ip: string;
    };
  const page = async (name: string) => appliance.page((await stateOf(name)).ip);

  it('a node that is up is off at once, and comes up again when it is on', async () => {
    await eventually(60_000, async () => {
      for (const name of ['pi-one', 'pi-two']) assert.equal((await stateOf(name)).state, 'up');
    });
    assert.match(await page('pi-one'), /^pi-one runs web-/);
    assert.match(await appliance.netboot('power', 'pi-one', 'off'), /^power of pi-one: off \(\d+ ms\)$/);
    assert.equal((await stateOf('pi-one')).state, 'off');
    await assert.rejects(page('pi-one'));
    assert.match(await appliance.netboot('power', '9ffef001', 'on'), /^power of pi-one: on/);
    await eventually(60_000, async () => assert.equal((await stateOf('pi-one')).state, 'up'));
    assert.match(await page('pi-one'), /^pi-one runs web-/);
    assert.equal((await stateOf('pi-two')).state, 'up');
  });

  it('a cycle of its own command, over the API', async () => {
    const { socket } = appliance;
    const answer = await api<PowerAnswer>(socket, 'POST', '/v1/nodes/pi-two/power', { action: 'cycle' });
    assert.deepEqual([answer.name, answer.action], ['pi-two', 'cycle']);
    assert.notEqual((await stateOf('pi-two')).state, 'up');
    await eventually(60_000, async () => assert.equal((await stateOf('pi-two')).state, 'up'));
    const { exitCode, stderr } = await appliance.attempt([
      '--config',
      appliance.configFile,
      'power',
      'pi-two',
      'off',
    ]);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^netboot: The power template "plug" of pi-two has no "off"/);
  });

  it('a command that fails, or hangs: a clear word, an event, and the others are untouched', async () => {
    const call = (name: string, action: string) =>
      appliance.attempt(['--config', appliance.configFile, 'power', name, action]);
    const failed = await call('pi-three', 'off');
    assert.equal(failed.exitCode, 1);
    assert.match(
      failed.stderr,
      /pi-three could not be switched \(off\) by "sh": exit 5, "port 17 is no port of this switch"/,
    );

    await appliance.netboot('set-node', 'pi-three', '--power', 'hanging');
    assert.match(
      (await call('pi-three', 'cycle')).stderr,
      /names \{ip\}, and pi-three has none that is known/,
    );
    await appliance.netboot('set-node', 'pi-three', '--ip', '192.168.172.66');
    const hung = call('pi-three', 'cycle');
    await appliance.netboot('power', 'pi-one', 'off');
    await appliance.netboot('power', 'pi-one', 'on');
    assert.match((await hung).stderr, /by "\S+\/hang": it was ended after 2 s, "waiting"/);
    await assert.rejects(appliance.inRack('pgrep', '-f', '^sleep 7357'), /exit code 1/i);

    assert.match((await call('pi-three', 'explode')).stderr, /Allowed choices are on, off, cycle/);
    assert.match((await call('nobody', 'on')).stderr, /There is no node "nobody"/);
    await eventually(60_000, async () => {
      for (const name of ['pi-one', 'pi-two']) assert.equal((await stateOf(name)).state, 'up');
    });
    const troubles = (await events('node trouble')).map((event) => ('name' in event ? event.name : ''));
    assert.deepEqual(troubles, ['pi-two', 'pi-three', 'pi-three', 'pi-three']);
    assert.doesNotMatch(await appliance.log(), /a-pass-word/);
  });
});
