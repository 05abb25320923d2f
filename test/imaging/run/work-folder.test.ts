import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../../src/host/run.ts';
import { hasWork, takeWorkFolder } from '../../../src/imaging/run/work-folder.ts';
import { skip } from '../workshop.ts';

async function cacheFolder(t: TestContext) {
  const cache = await mkdtemp(join(tmpdir(), 'netboot-work-'));
  t.after(() => rm(cache, { recursive: true }));
  return cache;
}

describe('takeWorkFolder', () => {
  it('is gone with its scope, even a scope that fails', async (t) => {
    const cache = await cacheFolder(t);
    await assert.rejects(async () => {
      await using work = await takeWorkFolder(cache, run);
      await writeFile(join(work.path, 'half'), '');
      assert.ok(await hasWork(cache));
      throw new Error('half-way');
    }, /half-way/);
    assert.ok(!(await hasWork(cache)));
  });

  it('takes away what killed builds left: files, mounts, loop devices, processes', { skip }, async (t) => {
    const cache = await cacheFolder(t);
    const left = join(cache, 'work/1.dead');
    await mkdir(join(left, 'mounted'), { recursive: true });
    await mkdir(join(left, 'elsewhere'));
    await run('mount', ['-t', 'tmpfs', 'tmpfs', join(left, 'mounted')]);
    await writeFile(join(left, 'disk'), Buffer.alloc(1 << 20));
    const device = await run('losetup', ['--find', '--show', join(left, 'disk')]);
    const script = `mount -t tmpfs tmpfs ${left}/elsewhere; echo ready; sleep 60`;
    const holder = spawn('unshare', ['--mount', 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => holder.kill('SIGKILL'));
    await once(holder.stdout, 'data');

    await using work = await takeWorkFolder(cache, run);
    assert.deepEqual(await readdir(join(cache, 'work')), [work.path.split('/').at(-1)]);
    assert.ok(!(await readFile('/proc/self/mountinfo', 'utf8')).includes(left));
    for (let tries = 0; tries < 50 && holder.signalCode === null; tries++) await sleep(20);
    assert.equal(holder.signalCode, 'SIGKILL');
    const loops = await run('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE']);
    assert.ok(!loops.split('\n').some((line) => line.startsWith(`${device} `) && line.includes(left)));
  });
});
