import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../../src/host/run.ts';
import { buildImage, clearLeftovers } from '../../../src/imaging/build.ts';
import { readGenerations } from '../../../src/imaging/generation/generations.ts';
import { skip, type Workshop, workshop } from '../workshop.ts';

const KILLS = Number(process.env.NETBOOT_KILLS ?? 10);
const BUILDER = new URL('builder.ts', import.meta.url).pathname;

function start(made: Workshop) {
  const child = spawn(process.execPath, [BUILDER, made.order.name, made.top], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close') as Promise<[number | null, string | null]>;
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      said += data;
    });
  }
  return { child, ended, said: () => said };
}

/** All that a build may leave outside of its committed files. */
async function leftBehind(made: Workshop): Promise<string[]> {
  const left: string[] = [];
  const { cacheFolder, generationsFolder } = made.order;
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
    if ((await read('mountinfo')).includes(cacheFolder)) left.push(`process ${pid} in a mount namespace`);
    if ((await read('environ')).includes(made.top))
      left.push(`process ${pid} of a step: ${await read('cmdline')}`);
    if ((await read('cmdline')).includes(made.top)) left.push(`process ${pid}: ${await read('cmdline')}`);
  }
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  left.push(...mounts.split('\n').filter((line) => line.includes(made.top)));
  const loops = await run('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE']);
  left.push(...loops.split('\n').filter((line) => line.includes(made.top)));
  const list = (folder: string) => readdir(folder).catch(() => []);
  left.push(...(await list(join(cacheFolder, 'work'))).map((name) => `work/${name}`));
  left.push(...(await list(generationsFolder)).filter((name) => name.startsWith('.')));
  left.push(...(await readGenerations(generationsFolder)).problems);
  for (const [kind, content] of [
    ['layer', 'root'],
    ['artifact', 'out'],
  ] as const) {
    for (const key of await list(join(cacheFolder, `${kind}s`))) {
      const folder = join(cacheFolder, `${kind}s`, key);
      const facts = JSON.parse(await readFile(join(folder, `${kind}.json`), 'utf8').catch(() => '{}'));
      if (facts.key !== key || !(await stat(join(folder, content))).isDirectory())
        left.push(`half a ${kind}`);
    }
  }
  return left;
}

/** An image whose steps all take a moment, so that a kill meets every one of them. */
async function slowImage(made: Workshop) {
  const sha256 = await made.addTarball('slow');
  await made.write(
    'slow/image.yaml',
    `base: {tarball: root.tar.gz, sha256: ${sha256}, arch: amd64}\nusers: [{name: ops}]\nboot: {initramfs: false}\n`,
  );
  for (const hook of ['10-a', '20-b', '30-c'])
    await made.write(
      `slow/hooks/${hook}.sh`,
      `#!/bin/sh -e\nsleep 0.2; echo ${hook} >/etc/${hook}; sleep 0.2\n`,
    );
}

describe('a build that is killed', { skip, timeout: 60_000 + KILLS * 10_000 }, () => {
  it(`leaves nothing after the next command, at ${KILLS} random points`, async (t) => {
    const made = await workshop(t, 'slow');
    await slowImage(made);
    let killed = 0;
    for (let attempt = 0; killed < KILLS; attempt++) {
      assert.ok(attempt < 4 * KILLS, 'the builds end before they can be killed');
      await made.write('slow/rootfs/etc/attempt', `${attempt}`);
      const { child, ended } = start(made);
      await sleep(300 + Math.random() * 3200);
      child.kill('SIGKILL');
      const [, signal] = await ended;
      if (signal === 'SIGKILL') killed++;
      await clearLeftovers(made.order);
      assert.deepEqual(await leftBehind(made), [], `after kill ${killed}`);
    }
    const { outcome, generation } = await buildImage(made.order);
    assert.equal(outcome, 'built');
    const clean = {
      cacheFolder: join(made.top, 'cache2'),
      generationsFolder: join(made.top, 'generations2'),
    };
    const other = await buildImage({ ...made.order, ...clean });
    assert.equal(
      generation.root.sha256,
      other.generation.root.sha256,
      'what kills left in the cache is sound',
    );
  });

  it('frees who waits for it', async (t) => {
    const made = await workshop(t, 'slow');
    await slowImage(made);
    await made.write('slow/hooks/30-c.sh', '#!/bin/sh\nsleep 60\n');
    const first = start(made);
    while (!first.said().includes('30-c')) await sleep(50);
    await made.write('slow/hooks/30-c.sh', '#!/bin/sh\n:\n');
    const second = start(made);
    while (!second.said().includes('waiting')) await sleep(50);
    first.child.kill('SIGKILL');
    const [code] = await second.ended;
    assert.equal(code, 0, second.said());
    assert.deepEqual(await leftBehind(made), []);
  });

  it('ends with 1 and nothing left when it is told to stop', async (t) => {
    const made = await workshop(t, 'slow');
    await slowImage(made);
    await made.write('slow/hooks/30-c.sh', '#!/bin/sh\nsleep 60\n');
    const { child, ended, said } = start(made);
    while (!said().includes('30-c')) await sleep(50);
    child.kill('SIGINT');
    assert.deepEqual(await ended, [1, null]);
    assert.match(said(), /was stopped at "run hooks\/30-c.sh"/);
    assert.deepEqual(await leftBehind(made), []);
  });
});
