import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openGate, RIVAL_EXIT_CODE } from '../../src/guards/dhcp-gate.ts';
import type { RivalAnswers } from '../../src/guards/network-watch.ts';
import { Refusal } from '../../src/model/command.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';

const ROUTER = '192.168.172.1' as Ipv4;

async function world(t: TestContext, { force = false, wasKilled = false } = {}) {
  const stateFolder = await mkdtemp(join(tmpdir(), 'netboot-gate-'));
  t.after(() => rm(stateFolder, { recursive: true }));
  const marker = join(stateFolder, 'dhcp-is-served');
  if (wasKilled) await writeFile(marker, '');
  const answers = Promise.withResolvers<RivalAnswers>();
  const lines: string[] = [];
  const gate = await openGate({
    interfaces: (['eth0', 'eth1'] as const).map((name) => ({
      interface: name,
      address: '192.168.172.17' as Ipv4,
      dhcp: 'full',
    })),
    watch: { findRivals: () => answers.promise },
    stateFolder,
    force,
    log: { ...silentLog, info: (_, text) => void lines.push(text) },
  });
  const answer = (found: Record<string, Ipv4[]>) => answers.resolve(new Map(Object.entries(found)));
  /** Until the answer has been thought over. */
  const told = async () => {
    // It writes a file first, which on a busy disk takes longer than a number of turns.
    for (const until = Date.now() + 5_000; Date.now() < until && lines.length === 0; ) await setImmediate();
    return lines;
  };
  return { gate, answer, told, marker };
}

test('nothing is served before the answer; then it is told what was found', async (t) => {
  const { gate, answer, told, marker } = await world(t);
  assert.ok(gate.isHeldBack('eth0') && gate.isHeldBack('eth1'));
  answer({ eth0: [], eth1: [] });
  await gate.opened;
  assert.ok(!gate.isHeldBack('eth0'));
  assert.deepEqual(await told(), [
    'DHCP is served: no other server answered on eth0; no other server answered on eth1',
  ]);
  await gate.stop();
  assert.ok(!existsSync(marker));
});

test('another server is a refusal with an exit code of its own, and nothing is ever served', async (t) => {
  const { gate, answer } = await world(t);
  answer({ eth0: [], eth1: [ROUTER] });
  await assert.rejects(gate.opened, (error) => {
    assert.ok(error instanceof Refusal);
    assert.match(error.message, /interface "eth1": 192\.168\.172\.1\. .*--force/);
    return error.exitCode === RIVAL_EXIT_CODE;
  });
  assert.ok(gate.isHeldBack('eth0'));
});

test('an interface that could not be asked is not said to be without another server', async (t) => {
  const { gate, answer, told } = await world(t);
  answer({ eth0: [] });
  await gate.opened;
  assert.deepEqual(await told(), [
    'DHCP is served: no other server answered on eth0; eth1 could not be asked',
  ]);
});

test('systemd does not start again what is refused for another server', () => {
  const unit = readFileSync(join(import.meta.dirname, '../../systemd/netboot.service'), 'utf8');
  assert.match(unit, new RegExp(`^RestartPreventExitStatus=${RIVAL_EXIT_CODE}$`, 'm'));
});

for (const given of [{ force: true }, { wasKilled: true }]) {
  test(`${Object.keys(given)}: it is served at once, beside another server too`, async (t) => {
    const { gate, answer, told } = await world(t, given);
    await gate.opened;
    assert.ok(!gate.isHeldBack('eth0'));
    answer({ eth0: [ROUTER], eth1: [] });
    assert.deepEqual(await told(), [
      'DHCP is served: beside 192.168.172.1 on eth0; no other server answered on eth1',
    ]);
  });
}

test('a service that ends before the answer leaves no file that says it was killed', async (t) => {
  const { gate, answer, marker } = await world(t, { force: true });
  await gate.stop();
  answer({ eth0: [], eth1: [] });
  for (let turn = 0; turn < 50; turn++) await setImmediate();
  assert.ok(!existsSync(marker));
});
