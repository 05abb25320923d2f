import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { dependent } from '../../../src/imaging/run/isolation.ts';
import { emulatorOf } from '../../../src/imaging/run/run-step.ts';

/** Ids of the processes whose command line holds `word`. */
async function processesWith(word: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return pids.filter((_, index) => lines[index]?.includes(word));
}

async function waitFor(condition: () => Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (await condition()) return;
    await setTimeout(50);
  }
  assert.fail(`${what} within 5 s`);
}

const ISOLATION = new URL('../../../src/imaging/run/isolation.ts', import.meta.url).href;

/** A process that runs these shell lines as a step, in place of enter.sh. */
function startBuilder(step: string) {
  const script = `
    import { spawn } from 'node:child_process';
    import { isolated } from ${JSON.stringify(ISOLATION)};
    const [program, args] = isolated('probe');
    const namespaces = args.slice(0, args.lastIndexOf('sh'));
    spawn(program, [...namespaces, 'sh', '-c', ${JSON.stringify(step)}], { stdio: 'inherit' });
    setInterval(() => {}, 1000);`;
  return spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

describe('isolated', { skip: process.geteuid?.() !== 0 && 'only root may make namespaces' }, () => {
  it('leaves neither process nor mount when the builder is killed', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'netboot-isolation-'));
    t.after(() => rm(folder, { recursive: true }));
    const marker = `netboot-marker-${crypto.randomUUID()}`;
    // The step, its grandchild and a daemon that left its session.
    const step = `mount -t tmpfs tmpfs ${folder}; touch ${folder}/mounted
      setsid sh -c 'sleep 60; : ${marker}' & sh -c 'sleep 60; : ${marker}'`;
    const builder = startBuilder(step);
    t.after(() => builder.kill('SIGKILL'));
    // The builder, unshare, the step and its two children all have the marker in their arguments.
    await waitFor(async () => (await processesWith(marker)).length >= 5, 'the step runs');
    assert.deepEqual(await readdir(folder), [], 'its mount is its own');

    builder.kill('SIGKILL');
    await once(builder, 'exit');
    await waitFor(async () => (await processesWith(marker)).length === 0, 'all of it is gone');
    assert.ok(!(await readFile('/proc/self/mountinfo', 'utf8')).includes(folder));
  });

  it('has the host neither in its network nor in its name', async (t) => {
    const builder = startBuilder('cat /proc/net/dev; hostname another; hostname; echo end');
    t.after(() => builder.kill('SIGKILL'));
    let said = '';
    builder.stdout.on('data', (data) => {
      said += data;
    });
    await waitFor(async () => said.includes('end'), 'it ends');
    assert.deepEqual(
      [...said.matchAll(/^ *(\w+):/gm)].map(([, name]) => name),
      ['lo'],
    );
    assert.match(said, /another/);
    assert.notEqual(hostname(), 'another');
  });

  it('runs nothing for a builder that is no more', async () => {
    const [program, args] = dependent('echo', 'it ran');
    // Another process than the one that it is to depend on.
    const orphan = spawn('sh', ['-c', '"$@"; exit $?', 'sh', program, ...args], { stdio: 'pipe' });
    let said = '';
    orphan.stdout.on('data', (data) => {
      said += data;
    });
    const [code] = await once(orphan, 'close');
    assert.deepEqual([code, said], [1, '']);
  });
});

describe('emulatorOf', () => {
  for (const [image, machine, emulator] of [
    ['arm64', 'x64', 'aarch64'],
    ['armhf', 'x64', 'arm'],
    ['amd64', 'x64', ''],
    ['arm64', 'arm64', ''],
    // Where its cores run 32-bit programs enter.sh registers none.
    ['armhf', 'arm64', 'arm'],
    ['armhf', 'arm', ''],
  ] as const)
    it(`${image} on ${machine}: ${emulator || 'none'}`, () =>
      assert.equal(emulatorOf(image, machine), emulator));
});
