import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { takeWorkFolder } from '../../src/imaging/work-folder.ts';
import { Refusal } from '../../src/model/command.ts';

async function parentFolder(t: TestContext) {
  const parent = await mkdtemp(join(tmpdir(), 'netboot-work-'));
  t.after(() => rm(parent, { recursive: true }));
  return parent;
}

/** Another process that takes the folder and keeps it until it is killed. */
async function otherBuilder(t: TestContext, parent: string) {
  const module = new URL('../../src/imaging/work-folder.ts', import.meta.url).href;
  const script = `const { takeWorkFolder } = await import(${JSON.stringify(module)});
    const work = await takeWorkFolder(${JSON.stringify(parent)});
    console.log(work.path);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

describe('takeWorkFolder', () => {
  it('is gone with its scope, even a scope that fails', async (t) => {
    const parent = await parentFolder(t);
    await assert.rejects(async () => {
      await using work = await takeWorkFolder(parent);
      await writeFile(join(work.path, 'half'), '');
      throw new Error('half-way');
    }, /half-way/);
    assert.deepEqual(await readdir(parent), []);
  });

  it('refuses while another process builds, then clears away what that left when killed', async (t) => {
    const parent = await parentFolder(t);
    await writeFile(join(parent, 'web.log'), 'the last build');
    const other = await otherBuilder(t, parent);
    await assert.rejects(takeWorkFolder(parent), (error: Error) => {
      assert.ok(error instanceof Refusal);
      assert.match(error.message, new RegExp(`Another build is running .*process ${other.pid}`));
      return true;
    });
    other.kill('SIGKILL');
    await once(other, 'exit');
    assert.equal((await readdir(parent)).length, 2, 'killed, it could not clean up');
    await using work = await takeWorkFolder(parent);
    assert.deepEqual((await readdir(parent)).toSorted(), [work.path.slice(parent.length + 1), 'web.log']);
  });

  it('does not take a process with a recycled id for the builder', async (t) => {
    const parent = await parentFolder(t);
    await mkdir(join(parent, `build.${process.pid}.1.deadbeef`));
    await using _work = await takeWorkFolder(parent);
    assert.equal((await readdir(parent)).length, 1);
  });

  it('refuses a second build of the same process', async (t) => {
    const parent = await parentFolder(t);
    await using _work = await takeWorkFolder(parent);
    await assert.rejects(takeWorkFolder(parent), Refusal);
    assert.equal((await readdir(parent)).length, 1);
  });
});
