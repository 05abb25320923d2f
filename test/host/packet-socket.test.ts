import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PacketSocket } from '../../src/host/packet-socket.ts';
import { run } from '../../src/host/run.ts';

const NEAR = `nbpkt-${process.pid}-a`;
const FAR = `nbpkt-${process.pid}-b`;
const PROGRAM = join(import.meta.dirname, 'packet-sender.ts');
const FRAMES = 20_000;

before(async () => {
  for (const namespace of [NEAR, FAR]) await run('ip', ['netns', 'add', namespace]);
  const far = ['peer', 'name', 'eth0', 'address', '02:00:00:00:00:02', 'netns', FAR];
  await run('ip', ['-n', NEAR, 'link', 'add', 'eth0', 'type', 'veth', ...far]);
  for (const namespace of [NEAR, FAR]) await run('ip', ['-n', namespace, 'link', 'set', 'eth0', 'up']);
});

after(async () => {
  for (const namespace of [NEAR, FAR]) await run('ip', ['netns', 'delete', namespace]);
});

const inNamespace = (namespace: string, role: string, onLine?: (line: string) => void) =>
  run('ip', ['netns', 'exec', namespace, process.execPath, PROGRAM, role, String(FRAMES)], {
    ...(onLine ? { onLine } : {}),
  });

test('every frame arrives whole, once and in order, and none of its own', { timeout: 30_000 }, async () => {
  let ready = () => {};
  const isReady = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const lines: string[] = [];
  const receiving = inNamespace(FAR, 'receive', (line) => {
    lines.push(line);
    ready();
  });
  await Promise.race([isReady, receiving]);
  const sent = JSON.parse(await inNamespace(NEAR, 'send'));
  await receiving;
  const heard = JSON.parse(lines.at(-1) ?? '');
  assert.deepEqual(heard, { inOrder: FRAMES, wrong: 0, dropped: 0, mac: '02:00:00:00:00:02' });
  assert.ok(sent.own < 20, `${sent.own} frames, of the neighbour's kernel at most`);
});

test('an interface that is not there is refused by name', () => {
  assert.throws(() => new PacketSocket('nope0'), /"nope0" cannot be opened .*no such device.*ip link/);
});
