import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { filter } from '../../../src/host/filter.ts';
import { run } from '../../../src/host/run.ts';
import { lookInside } from '../../../src/imaging/import/look-inside.ts';
import { hashMemory } from '../../../src/imaging/import/remembered-hash.ts';
import { openImage, sourceOpener } from '../../../src/imaging/import/source.ts';
import type { ReadProgress } from '../../../src/imaging/import/unpack.ts';
import { bookworm, type CardPlan, makeCard, sha256Of, trixie } from './card.ts';

let folder: string;
let work: string;
/** Of a Bookworm card, MBR. */
let raw: string;

before(async () => {
  folder = await mkdtemp('/var/tmp/netboot-source-');
  work = join(folder, 'work');
  await mkdir(work);
  raw = await makeCard(join(folder, 'bookworm.img'), bookworm());
});
after(() => rm(folder, { recursive: true, force: true }));

const later = Date.now() + 3_600_000;
const ports = () => ({ run, filter, hashes: hashMemory(join(folder, 'hashes'), () => later) });
const openIt = (file: string, expected?: string, onProgress?: (progress: ReadProgress) => void) =>
  openImage(file, expected, ports(), { workFolder: work, ...(onProgress ? { onProgress } : {}) });

/** @returns the packed file. */
function pack(program: string, ending: string, from = raw): string {
  const file = `${from}.${ending}`;
  writeFileSync(file, execFileSync(program, ['-1', '--stdout', from], { maxBuffer: 2 ** 30 }));
  return file;
}

const PACKERS = [
  ['xz', 'xz'],
  ['zstd', 'zst'],
  ['gzip', 'gz'],
] as const;

describe('opening an image', () => {
  for (const [program, ending] of PACKERS) {
    it(`unpacks ${ending}, by what is in it and not by its name`, async () => {
      const file = join(folder, `named-otherwise-${ending}.bin`);
      writeFileSync(file, readFileSync(pack(program, ending)));
      const progress: ReadProgress[] = [];
      await using image = await openIt(file, sha256Of(file), (step) => progress.push(step));
      assert.equal(sha256Of(image.path), sha256Of(raw));
      const { size, blocks } = statSync(image.path);
      assert.ok(blocks * 512 < size / 5, `${blocks * 512} of ${size} bytes are on the disk`);
      const total = statSync(file).size;
      assert.deepEqual(
        { done: progress.at(-1)?.done, total: progress.at(-1)?.total },
        { done: total, total },
      );
    });
  }

  it('reads a raw image where it lies, and leaves nothing behind', async () => {
    {
      await using image = await openIt(raw);
      assert.equal(image.path, raw);
      assert.equal(image.sha256, sha256Of(raw));
      assert.equal(image.environment.BOOT_OFFSET, String(4 * 2 ** 20));
    }
    assert.ok(statSync(raw).isFile());
    assert.deepEqual(readdirSync(work), []);
  });

  for (const [label, plan] of [
    ['MBR', bookworm('dos')],
    ['GPT', trixie('gpt')],
  ] as const) {
    it(`looks inside without mounting: ${label}`, async () => {
      await using image = await openIt(await makeCard(join(folder, `${label}.img`), plan));
      const facts = await lookInside(run, image, 'it');
      assert.equal(facts.arch, 'arm64');
      assert.match(facts.release, /^Debian GNU\/Linux \((bookworm|trixie)\)$/);
      assert.ok(facts.packages.has('klibc-utils') && facts.packages.has('busybox'));
      assert.match(facts.configTxt, /^\[cm5\]$/m);
      assert.match(facts.cmdlineTxt, /root=PARTUUID/);
      assert.ok(facts.has64BitKernel);
    });
  }

  it('remembers a hash until the file is touched', async () => {
    const file = pack('gzip', 'gz');
    const { hashes } = ports();
    const stats = () => statSync(file, { bigint: true });
    await using image = await openIt(file);
    assert.equal(await hashes.recall(stats()), image.sha256);
    await utimes(file, new Date(0), new Date(0));
    assert.equal(await hashes.recall(stats()), undefined);
  });

  it('remembers no hash of a file that was written a moment ago', async () => {
    const memory = hashMemory(join(folder, 'young'));
    writeFileSync(join(folder, 'young.bin'), 'x');
    const stats = statSync(join(folder, 'young.bin'), { bigint: true });
    await memory.remember(stats, 'a'.repeat(64));
    assert.equal(await memory.recall(stats), undefined);
  });
});

describe('a source that cannot be used', () => {
  beforeEach(async () => {
    await rm(work, { recursive: true, force: true });
    await mkdir(work);
  });
  const refused = async (file: string, expected: RegExp, sha256?: string) => {
    await assert.rejects(openIt(file, sha256), (error: Error) => {
      assert.equal(error.name, 'Refusal', error.stack);
      assert.match(error.message, expected);
      return true;
    });
    assert.deepEqual(readdirSync(work), [], 'nothing is left');
  };
  const written = (name: string, content: string | Uint8Array) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };

  for (const [program, ending] of PACKERS) {
    it(`cut short: ${ending}`, async () => {
      const file = pack(program, ending);
      truncateSync(file, Math.floor(statSync(file).size * 0.9));
      await refused(file, /is (cut short|damaged) .*Download or copy it again/);
    });
    it(`damaged in the middle: ${ending}`, async () => {
      const file = pack(program, ending);
      const bytes = readFileSync(file);
      bytes.fill(0x55, bytes.length >> 1, (bytes.length >> 1) + 64);
      await refused(written(`damaged.${ending}`, bytes), /is (damaged|cut short) /);
    });
  }
  it('a sum that is another', () =>
    refused(pack('gzip', 'gz'), /has the SHA-256 [0-9a-f]{64}, not a{64}/, 'a'.repeat(64)));
  it('text', () => refused(written('notes.img', 'a'.repeat(5000)), /is no disk image/));
  it('a web page', () => refused(written('page.img.xz', '<html>404</html>'), /is a web page/));
  it('zip', () => refused(written('x.img.zip', 'PK\x03\x04'), /is a zip archive.*Unpack it/));
  it('nothing', () => refused(written('empty.img', ''), /is empty/));
  it('a folder', () => refused(folder, /is no regular file/));
  it('no file', () => refused(join(folder, 'no.img'), /There is no file/));
  it('xz that says nothing of a disk', async () => {
    writeFileSync(join(folder, 'text'), 'just text\n'.repeat(1000));
    await refused(pack('xz', 'xz', join(folder, 'text')), /has no partition table that can be read/);
  });
  it('a partition beyond the end: a lying size', async () => {
    const file = written('cut.img', readFileSync(raw));
    truncateSync(file, 16 * 2 ** 20);
    await refused(file, /is cut short: its partition 2 ends \d+ bytes beyond the end/);
  });

  const plans: readonly (readonly [string, Partial<CardPlan>, RegExp])[] = [
    [
      'no boot partition',
      { noBoot: true },
      /has no boot partition \(FAT\); it has 1: nothing known, 2: ext4/,
    ],
    [
      'btrfs',
      { rootMagic: [65_536 + 64, '_BHRfS_M'] },
      /has no root partition \(ext4\); it has 1: fat, 2: btrfs/,
    ],
    ['f2fs', { rootMagic: [1024, '\x10\x20\xf5\xf2'] }, /it has 1: fat, 2: f2fs/],
    [
      'a journal to be replayed',
      { rootMagic: [1024 + 0x38, `\x53\xef${'\0'.repeat(0x60 - 0x3a)}\x04\0\0\0`] },
      /was copied while it was in use/,
    ],
  ];
  for (const [what, change, expected] of plans) {
    it(what, async () =>
      refused(await makeCard(join(folder, 'odd.img'), { ...bookworm(), rootMiB: 16, ...change }), expected),
    );
  }

  it('of a machine that is no Pi, or no Debian', async () => {
    const status = (text: string): CardPlan => ({
      ...bookworm(),
      root: [{ path: 'var/lib/dpkg/status', content: text }],
      rootMiB: 16,
    });
    const dpkg = 'Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\n';
    for (const [text, expected] of [
      [dpkg, /is for amd64/],
      ['', /holds no Debian system/],
    ] as const) {
      await using image = await openIt(await makeCard(join(folder, 'other.img'), status(text)));
      await assert.rejects(lookInside(run, image, 'it'), expected);
    }
  });

  it('changed or gone while a step reads it', async () => {
    const file = written('changing.img', readFileSync(raw));
    const open = sourceOpener(run, filter, join(folder, 'hashes'));
    const source = { kind: 'image', file, sha256: sha256Of(file) } as const;
    await using first = await open(source, { workFolder: work });
    await first.verify();
    await utimes(file, new Date(), new Date());
    await assert.rejects(first.verify(), /was changed while it was read/);
    await rm(file);
    await assert.rejects(first.verify(), /is gone while it was read/);
  });
});

describe('a disk that is full', { skip: process.geteuid?.() === 0 ? false : 'mounting needs root' }, () => {
  it('is said so, and what was written is gone', async () => {
    const file = pack('gzip', 'gz');
    const script = `mount -t tmpfs -o size=256k full "$1" && exec "$2" "$3" "$4" "$1"`;
    const child = join(import.meta.dirname, 'open-on-full-disk.ts');
    const argv = ['--mount', 'sh', '-euc', script, 'sh', work, process.execPath, child, file];
    const said = execFileSync('unshare', argv, { encoding: 'utf8' });
    assert.match(
      said,
      /^Refusal: The disk of \S+ is full before \S+ is unpacked\. Make room there\nleft: \n$/,
    );
  });

  it('is said so by the step that copies, too', async () => {
    const root = join(folder, 'small-root');
    await mkdir(root);
    const script = `mount -t tmpfs -o size=64k full "$1" && "$2" "$3" "$4" "$1" 2>&1 || true`;
    const child = join(import.meta.dirname, 'import-card.ts');
    const argv = ['--mount', 'sh', '-euc', script, 'sh', root, process.execPath, child, raw];
    assert.match(execFileSync('unshare', argv, { encoding: 'utf8' }), /No space left on device/);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith('small-root.step-')),
      [],
    );
  });
});
