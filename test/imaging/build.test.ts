import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type BuildProgress, buildImage } from '../../src/imaging/build.ts';
import { readGenerations } from '../../src/imaging/generations.ts';
import { plan } from '../../src/imaging/plan.ts';
import { readRecipeFolder } from '../../src/imaging/recipe-folder.ts';
import { CommandError, Refusal, type Run } from '../../src/model/command.ts';

const IMAGES = new URL('../../images', import.meta.url).pathname;
const { recipe, hooks } = await readRecipeFolder(IMAGES, 'web');
const steps = plan(recipe, hooks);

/** Steps that take no time: they leave the files of the real ones, or fail when told to. The real build is the e2e test's. */
async function workshop(t: TestContext, failing?: { script: string; says: string }) {
  const top = await mkdtemp(join(tmpdir(), 'netboot-build-'));
  t.after(() => rm(top, { recursive: true }));
  const ran: string[] = [];
  const run: Run = async (program, args, options) => {
    const script = args.at(-1) ?? '';
    if (program !== 'setpriv' || script === 'probe' || script === '--version') return '';
    ran.push(script);
    const work = options?.env?.WORK ?? '';
    options?.onLine?.(`running ${script}`);
    if (script === failing?.script) {
      options?.onLine?.(failing.says);
      throw new CommandError('failed', {
        argv: [program, ...args],
        exitCode: 1,
        stderrTail: '',
      });
    }
    if (script === 'clean') await writeFile(join(work, 'packages.txt'), 'nginx 1\n');
    if (script === 'squash') await writeFile(join(work, 'root.squashfs'), `root ${ran.length}`);
    if (script === 'initramfs') await mkdir(join(work, 'boot'));
    if (script === 'boot-tree') await writeFile(join(work, 'boot/kernel8.img'), 'kernel');
    return '';
  };
  const apt = join(top, 'apt');
  await mkdir(apt);
  await writeFile(join(apt, 'sources.list'), 'deb http://mirror.test/debian bookworm main\n');
  const progress: BuildProgress[] = [];
  const order = {
    name: 'web',
    recipesFolder: IMAGES,
    generationsFolder: join(top, 'generations'),
    workFolder: join(top, 'work'),
    aptFolder: apt,
    run,
    progress: (event: BuildProgress) => void progress.push(event),
  };
  return { order, ran, progress };
}

describe('buildImage', { skip: process.geteuid?.() !== 0 && 'only root builds' }, () => {
  it('runs the plan, seals the result and finds nothing to do the next time', async (t) => {
    const { order, ran, progress } = await workshop(t);
    const { generation, outcome } = await buildImage(order);
    assert.equal(outcome, 'built');
    assert.deepEqual(
      ran,
      steps.map(({ script }) => script),
    );
    assert.equal(progress.filter(({ kind }) => kind === 'started').length, steps.length + 1);
    assert.equal(progress.filter(({ kind }) => kind === 'finished').length, steps.length + 1);
    assert.match(await readFile(join(generation.folder, 'build.log'), 'utf8'), /== clean\nrunning clean\n/);
    assert.deepEqual(await readdir(order.workFolder), ['web.log']);

    assert.deepEqual(await buildImage(order), { generation, outcome: 'unchanged' });
    assert.equal(ran.length, steps.length, 'no step ran again');

    const forced = await buildImage({ ...order, force: true });
    assert.equal(forced.outcome, 'built');
    assert.equal((await readGenerations(order.generationsFolder)).generations.length, 2);
  });

  for (const { script, name } of new Map(steps.toReversed().map((step) => [step.script, step])).values()) {
    it(`leaves only a log when "${script}" fails`, async (t) => {
      const { order } = await workshop(t, { script, says: 'it is broken' });
      const log = join(order.workFolder, 'web.log');
      await assert.rejects(buildImage(order), (error: Error) => {
        assert.ok(error instanceof Refusal);
        for (const part of [name, `steps/${script}.sh`, 'it is broken', log])
          assert.ok(error.message.includes(part));
        assert.ok(!error.message.includes('\n'), 'one line');
        return true;
      });
      assert.deepEqual(await readdir(order.generationsFolder), []);
      assert.deepEqual(await readdir(order.workFolder), ['web.log']);
      assert.match(await readFile(log, 'utf8'), /it is broken/);
    });
  }

  for (const { says, expect } of [
    {
      says: 'E: Unable to locate package ngnix',
      expect: /Debian has no package "ngnix"\. Correct "packages"/,
    },
    { says: 'cp: error writing x: No space left on device', expect: /the disk is full\. Make room/ },
    {
      says: "E: Could not resolve 'mirror.test'",
      expect: /the Debian mirror mirror\.test cannot be reached/,
    },
  ]) {
    it(`names the cause behind "${says}"`, async (t) => {
      const { order } = await workshop(t, { script: 'install', says });
      await assert.rejects(buildImage(order), expect);
    });
  }

  it('stops between steps when told to', async (t) => {
    const { order, ran } = await workshop(t);
    const stop = new AbortController();
    const progress = ({ kind }: BuildProgress) => kind === 'finished' && stop.abort();
    await assert.rejects(buildImage({ ...order, progress, signal: stop.signal }), /was stopped at "upgrade/);
    assert.equal(ran.length, 1);
    assert.deepEqual(await readdir(order.generationsFolder), []);
    assert.deepEqual(await readdir(order.workFolder), ['web.log']);
  });

  it('refuses without a Debian mirror', async (t) => {
    const { order } = await workshop(t);
    await writeFile(join(order.aptFolder, 'sources.list'), '');
    await assert.rejects(buildImage(order), /^Refusal: No Debian mirror among the apt sources/);
  });
});
