import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { takeScratchFolder } from '../../../src/imaging/import/scratch-folder.ts';
import { bookworm, type CardFile, makeCard } from './card.ts';

const skip = process.geteuid?.() === 0 ? false : 'mounting needs root';

/** Loop devices on files below a folder. */
const loopsOn = (folder: string): string[] =>
  execFileSync('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(folder));

describe('an import that is killed', { skip }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp('/var/tmp/netboot-kill-');
    // Enough files for the copy to take a while.
    const root: CardFile[] = Array.from({ length: 4000 }, (_, index) => ({
      path: `srv/${index % 40}/${index}`,
      content: `${index}`,
    }));
    const plan = bookworm();
    await makeCard(join(folder, 'card.img'), { ...plan, root: [...plan.root, ...root], rootMiB: 64 });
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const when of ['as soon as its image is attached', 'while it copies'] as const) {
    it(`${when} leaves no loop device, mount or process`, async () => {
      const program = join(import.meta.dirname, 'import-card.ts');
      const root = join(folder, when.split(' ').join('-'));
      await mkdir(root);
      const child = spawn(process.execPath, [program, join(folder, 'card.img'), root], { stdio: 'inherit' });
      const ended = once(child, 'exit');
      const isThere = () =>
        when === 'while it copies' ? readdirSync(root).includes('srv') : loopsOn(folder).length > 0;
      for (let round = 0; round < 2000 && !isThere() && child.exitCode === null; round++) await sleep(5);
      assert.ok(isThere(), 'it came that far');
      child.kill('SIGKILL');
      await ended;
      for (let round = 0; round < 100 && loopsOn(folder).length > 0; round++) await sleep(50);
      assert.deepEqual(loopsOn(folder), []);
      const mounts = execFileSync('sh', [
        '-c',
        `cat /proc/*/mountinfo 2>/dev/null | grep -c "${folder}" || true`,
      ]);
      assert.equal(String(mounts).trim(), '0');
    });
  }

  it('leaves a scratch folder that the next one removes, and no other', async () => {
    const parent = join(folder, 'imports');
    await mkdir(join(parent, '1.1'), { recursive: true });
    await using _mine = await takeScratchFolder(parent);
    const [name, ...others] = readdirSync(parent);
    assert.match(String(name), new RegExp(`^${process.pid}\\.\\d+$`));
    assert.deepEqual(others, []);
  });
});
