import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../../src/host/run.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { boardOf } from '../../src/sim/board.ts';
import { createRack, piNamespace, plugIn, rackNamespace, removeRack, unplug } from '../../src/sim/rack.ts';

const RACK = `racktest-${process.pid}`;
const ADDRESS = { address: '192.168.172.17/24' };
const board = boardOf({ model: 'pi4', serial: parseSerial('9ffefdef') });
const own = async () =>
  (await run('ip', ['netns', 'list'])).match(new RegExp(`^${rackNamespace(RACK)}\\S*`, 'gm')) ?? [];

test('a rack is made, used, made again and taken down; the machine’s own namespace never sees its cables', async () => {
  try {
    await createRack(run, RACK, ADDRESS);
    await plugIn(run, RACK, board);
    await createRack(run, RACK, ADDRESS);
    assert.deepEqual((await own()).sort(), [rackNamespace(RACK), piNamespace(RACK, board.serial)]);
    const port = await run('ip', ['-n', rackNamespace(RACK), '-brief', 'link', 'show', 'master', 'br0']);
    assert.match(port, /^pi9ffefdef@\S+\s+UP/);
    const card = await run('ip', ['-n', piNamespace(RACK, board.serial), '-brief', 'link', 'show', 'eth0']);
    assert.match(card, new RegExp(board.mac));
    assert.doesNotMatch(await run('ip', ['-oneline', 'link']), new RegExp(`pi9ffefdef|${RACK}`));
  } finally {
    await removeRack(run, RACK);
    await removeRack(run, RACK);
  }
  assert.deepEqual(await own(), []);
});

test('a Pi that is running is not started twice; what a killed one left is reused; unplugging ends its processes', async () => {
  try {
    await createRack(run, RACK, ADDRESS);
    const namespace = await plugIn(run, RACK, board);
    await plugIn(run, RACK, board);
    const started = performance.now();
    const sleeper = run('ip', ['netns', 'exec', namespace, 'sleep', '30']).catch((error: Error) => error);
    while ((await run('ip', ['netns', 'pids', namespace])) === '' && performance.now() < started + 5_000);
    await assert.rejects(plugIn(run, RACK, board), /already running in rack/);
    await unplug(run, RACK, board.serial);
    assert.match(String(await sleeper), /SIGTERM/);
    assert.deepEqual(await own(), [rackNamespace(RACK)]);
  } finally {
    await removeRack(run, RACK);
  }
});

test('names and addresses that cannot be are refused', async () => {
  for (const name of ['', 'Rack', 'a/b', '-a', 'x'.repeat(33), 'lab-deadbeef'])
    await assert.rejects(createRack(run, name, ADDRESS), /is no name for a rack/, name);
  for (const address of ['192.168.172.17', '300.1.1.1/24', '10.0.0.1/33'])
    await assert.rejects(createRack(run, RACK, { address }), /is no address for a rack/, address);
  await assert.rejects(plugIn(run, RACK, board), /There is no rack/);
});
