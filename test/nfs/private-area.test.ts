import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Area, Disk, Export } from '../../src/nfs/export.ts';
import { prepareExport } from '../../src/nfs/prepare.ts';
import { needPrograms } from './nfs-rack.ts';

const MIB = 2 ** 20;
const SERIAL = 'a0000001';

let top: string;
let count = 0;
let exportsFolder: string;
let folder: string;

before(() => {
  needPrograms('setpriv', 'mke2fs', 'e2fsck', 'resize2fs', 'debugfs', 'dumpe2fs');
  top = mkdtempSync('/var/tmp/netboot-area-');
});
after(() => rmSync(top, { recursive: true, force: true }));
beforeEach(() => {
  exportsFolder = `${top}/${++count}`;
  folder = `${exportsFolder}/private/${SERIAL}`;
});

const root = (mebibytes: number): Disk => ({ name: 'root.ext4', bytes: mebibytes * MIB });
const block = (mebibytes: number): Disk => ({ name: 'block.ext4', bytes: mebibytes * MIB });
const SOON = () => Date.now() + 60_000;

function entry(disks: readonly Disk[], area: Partial<Area> = {}): Export {
  const options = ['rw', 'sync', 'no_root_squash', 'subtree_check'];
  return { path: folder, clients: ['10.0.0.5/32'], options, area: { disks: [...disks], epoch: 0, ...area } };
}

const BOUNDS = () => ({ exportsFolder, generationsFolder: '/nowhere' });
const prepare = (disks: readonly Disk[], area: Partial<Area> = {}) =>
  prepareExport(entry(disks, area), BOUNDS());

const sh = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 20_000 });

/** As the node's kernel would: a file in its root. */
function write(disk: string, name: string, text: string): void {
  const source = `${top}/text`;
  writeFileSync(source, text);
  sh('debugfs', '-w', '-R', `write ${source} ${name}`, disk);
}
const read = (disk: string, name: string): string => sh('debugfs', '-R', `cat ${name}`, disk);
const isSound = (disk: string): boolean => sh('e2fsck', '-f', '-n', disk).includes('netboot-');
const sizeOfFileSystem = (disk: string): number => {
  const looks = sh('dumpe2fs', '-h', disk);
  const value = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)$`, 'm').exec(looks)?.[1]);
  return value('Block count') * value('Block size');
};

test('makes a folder that is root alone, and sparse disks that are sound', async () => {
  assert.deepEqual(await prepare([root(2048), block(512)]), {});
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  for (const [name, bytes] of [
    ['root.ext4', 2048 * MIB],
    ['block.ext4', 512 * MIB],
  ] as const) {
    const disk = `${folder}/${name}`;
    const { size, blocks, mode } = statSync(disk);
    assert.deepEqual([size, mode & 0o777], [bytes, 0o600]);
    assert.ok(blocks * 512 < 2 * MIB, `${name} takes ${blocks * 512} bytes`);
    assert.equal(sizeOfFileSystem(disk), bytes);
    assert.ok(isSound(disk));
    assert.match(sh('dumpe2fs', '-h', disk), /Reserved block count:\s+0$/m);
  }
});

test('leaves what is there as it is, for as long as nothing else is asked for', async () => {
  await prepare([root(64)]);
  write(`${folder}/root.ext4`, 'kept', 'mine\n');
  const before = statSync(`${folder}/root.ext4`);
  assert.deepEqual(await prepare([root(64), block(64)]), {});
  assert.equal(statSync(`${folder}/root.ext4`).ino, before.ino);
  assert.equal(read(`${folder}/root.ext4`, 'kept'), 'mine\n');
});

test('grows a disk while its node does not run, with what is on it', async () => {
  const disk = `${folder}/root.ext4`;
  await prepare([root(64)]);
  write(disk, 'kept', 'mine\n');
  const later = await prepare([root(128)]);
  assert.match(later.remark ?? '', /root\.ext4 has 64M; it grows to 128M when the node boots next/);
  const late = await prepare([root(128)], { growUntil: Date.now() - 1 });
  assert.deepEqual(late, later);
  assert.equal(statSync(disk).size, 64 * MIB);
  assert.deepEqual(await prepare([root(128)], { growUntil: SOON() }), {});
  assert.deepEqual([statSync(disk).size, sizeOfFileSystem(disk)], [128 * MIB, 128 * MIB]);
  assert.ok(isSound(disk));
  assert.equal(read(disk, 'kept'), 'mine\n');
});

test('never shrinks a disk, and says so', async () => {
  await prepare([root(128)]);
  const { remark } = await prepare([root(64)], { growUntil: SOON() });
  assert.match(remark ?? '', /has 128M and never shrinks to 64M: netboot reset-private/);
  assert.equal(statSync(`${folder}/root.ext4`).size, 128 * MIB);
});

test('a later epoch makes every disk anew, in the size asked for, once', async () => {
  await prepare([root(128), block(64)]);
  write(`${folder}/root.ext4`, 'old', 'gone\n');
  assert.deepEqual(await prepare([root(64)], { epoch: 1000 }), {});
  assert.deepEqual(readdirSync(folder), ['root.ext4'], 'the disk that it has no more is gone, too');
  assert.equal(statSync(`${folder}/root.ext4`).size, 64 * MIB);
  assert.equal(read(`${folder}/root.ext4`, 'old'), '');
  write(`${folder}/root.ext4`, 'new', 'kept\n');
  for (const epoch of [1000, 0]) assert.deepEqual(await prepare([root(64)], { epoch }), {});
  assert.equal(read(`${folder}/root.ext4`, 'new'), 'kept\n');
});

test('a disk whose growing was cut short is taken back', async () => {
  await prepare([root(64)]);
  write(`${folder}/root.ext4`, 'kept', 'mine\n');
  renameSync(`${folder}/root.ext4`, `${exportsFolder}/private/.netboot/${SERIAL}.root.ext4.away`);
  assert.deepEqual(await prepare([root(64)]), {});
  assert.equal(read(`${folder}/root.ext4`, 'kept'), 'mine\n');
});

test('a disk whose growing was cut short while it was written to is mended', async () => {
  const disk = `${folder}/root.ext4`;
  await prepare([root(256)]);
  write(disk, 'kept', 'mine\n');
  sh('debugfs', '-w', '-R', 'set_bg 1 block_bitmap 1', disk);
  assert.throws(() => sh('e2fsck', '-f', '-p', disk), 'no boot would mend it');
  renameSync(disk, `${exportsFolder}/private/.netboot/${SERIAL}.root.ext4.growing`);
  assert.deepEqual(await prepare([root(256)]), {});
  assert.ok(isSound(disk));
  assert.equal(read(disk, 'kept'), 'mine\n');
  assert.deepEqual(readdirSync(`${exportsFolder}/private/.netboot`), [`${SERIAL}.json`]);
});

const growing = (name = 'root.ext4') => `${exportsFolder}/private/.netboot/${SERIAL}.${name}.growing`;

test('a disk that cannot be mended is kept back, and given to its node once it can', async () => {
  const disk = `${folder}/root.ext4`;
  await prepare([root(64)]);
  write(disk, 'kept', 'mine\n');
  const whole = readFileSync(disk);
  unlinkSync(disk);
  writeFileSync(growing(), 'rubbish');
  for (const time of ['first', 'second']) {
    const { problem, remark } = await prepare([root(64), block(64)]);
    assert.equal(problem, undefined, time);
    assert.match(remark ?? '', /^root\.ext4 is kept back, .*: e2fsck failed \(exit 8\)/);
    assert.match(remark ?? '', /e2fsck -f -y \S+\.root\.ext4\.growing\b.* netboot reset-private/);
    assert.deepEqual(readdirSync(folder), ['block.ext4'], 'the node gets nothing that is half a disk');
    assert.equal(readFileSync(growing(), 'utf8'), 'rubbish');
  }
  writeFileSync(growing(), whole);
  assert.deepEqual(await prepare([root(64), block(64)]), {});
  assert.equal(read(disk, 'kept'), 'mine\n');
});

test('a disk that is kept back is mended when there is time, and delays nothing when there is none', async () => {
  const disk = `${folder}/root.ext4`;
  await prepare([root(256)]);
  write(disk, 'kept', 'mine\n');
  sh('debugfs', '-w', '-R', 'set_bg 1 block_bitmap 1', disk);
  renameSync(disk, growing());
  for (const [until, why] of [
    [() => Date.now(), /kept back, .*: there was no time left for it/],
    [() => Date.now() + 4, /kept back, .*: (e2fsck failed \(cut off\)|there was no time)/],
  ] as const) {
    const startedAt = performance.now();
    const { remark } = await prepareExport(entry([root(256)]), BOUNDS(), until());
    assert.match(remark ?? '', why);
    assert.ok(performance.now() - startedAt < 2_000);
    assert.deepEqual(readdirSync(folder), []);
  }
  assert.deepEqual(await prepare([root(256)]), {});
  assert.ok(isSound(disk));
  assert.equal(read(disk, 'kept'), 'mine\n');
});

test('a disk that finds no room to grow is not given half-grown', async () => {
  const disk = `${folder}/root.ext4`;
  mkdirSync(exportsFolder);
  sh('mount', '-t', 'tmpfs', '-o', 'size=64m', 'netboot-test', exportsFolder);
  try {
    await prepare([root(64)]);
    write(disk, 'kept', 'mine\n');
    const left = sh('stat', '--file-system', '--format=%f', exportsFolder);
    sh(
      'dd',
      'if=/dev/zero',
      `of=${exportsFolder}/full`,
      'bs=4k',
      `count=${Number(left) - 16}`,
      'status=none',
    );
    const { remark } = await prepare([root(32_768)], { growUntil: SOON() });
    assert.match(remark ?? '', /^root\.ext4 (could not grow to 32768M|is kept back)/);
    if (existsSync(disk)) assert.ok(isSound(disk));
    unlinkSync(`${exportsFolder}/full`);
    assert.deepEqual(await prepare([root(32_768)], { growUntil: SOON() }), {});
    assert.ok(isSound(disk));
    assert.equal(read(disk, 'kept'), 'mine\n');
  } finally {
    sh('umount', exportsFolder);
  }
});

test('a reset leaves nothing of a disk that is kept back, also of one that its node has no more', async () => {
  await prepare([root(64), block(64)]);
  for (const name of ['root.ext4', 'block.ext4']) {
    unlinkSync(`${folder}/${name}`);
    writeFileSync(growing(name), 'rubbish');
  }
  assert.deepEqual(await prepare([root(64)], { epoch: 1 }), {});
  assert.deepEqual(readdirSync(`${exportsFolder}/private/.netboot`), [`${SERIAL}.json`]);
});

test('a reset takes away whatever has the name of a disk that is no more', async () => {
  await prepare([root(64), block(64)]);
  unlinkSync(`${folder}/block.ext4`);
  mkdirSync(`${folder}/block.ext4/full`, { recursive: true });
  assert.deepEqual(await prepare([root(64)], { epoch: 1 }), {});
  assert.deepEqual(readdirSync(folder), ['root.ext4']);
});

test('killed at any moment, nothing is taken for a disk that is none', async () => {
  const script = fileURLToPath(new URL('prepare-area.ts', import.meta.url));
  const disk = `${folder}/root.ext4`;
  /** Lets another process make the disk, and kills it after so many milliseconds. @returns how long it was at it. */
  const makeAndKill = async (afterMs: number): Promise<number> => {
    rmSync(exportsFolder, { recursive: true, force: true });
    const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    await once(child.stdout, 'data');
    const startedAt = performance.now();
    child.stdin.write(`${JSON.stringify({ entry: entry([root(1024)]), exportsFolder })}\n`);
    await Promise.race([once(child.stdout, 'data'), sleep(afterMs)]);
    const took = performance.now() - startedAt;
    child.kill('SIGKILL');
    await ended;
    return took;
  };
  const took = await makeAndKill(30_000);
  assert.ok(existsSync(disk), 'it makes one when it is left alone');
  const moments = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
  let whole = 0;
  for (const moment of moments) {
    await makeAndKill(moment * took);
    if (existsSync(disk)) {
      whole++;
      assert.ok(isSound(disk) && sizeOfFileSystem(disk) === 1024 * MIB);
    }
    assert.deepEqual(await prepare([root(1024)]), {});
    assert.ok(isSound(disk));
    assert.deepEqual(readdirSync(`${exportsFolder}/private/.netboot`), [`${SERIAL}.json`]);
  }
  assert.ok(whole < moments.length, 'some were cut short');
});

test('a full disk is a clear problem, and mends itself when there is room', async () => {
  mkdirSync(exportsFolder);
  sh('mount', '-t', 'tmpfs', '-o', 'size=512k', 'netboot-test', exportsFolder);
  try {
    const { problem } = await prepare([root(1024)]);
    assert.match(problem ?? '', /the disk of .* is full: make room there/);
    assert.ok(!existsSync(`${folder}/root.ext4`));
    sh('mount', '-o', 'remount,size=64m', exportsFolder);
    assert.deepEqual(await prepare([root(1024)]), {});
    assert.ok(isSound(`${folder}/root.ext4`));
  } finally {
    sh('umount', exportsFolder);
  }
});

/** By MiB. Two disks that no size could be given to: too small, too large. */
for (const [name, size] of [
  ['too small', 8],
  ['too large', 20 * 2 ** 20],
] as const) {
  test(`a size that is ${name} takes no disk from its node`, async () => {
    await prepare([root(64)]);
    for (const disks of [[root(size)], [root(64), block(size)]]) {
      const { problem, remark } = await prepare(disks);
      assert.equal(problem, undefined);
      assert.match(remark ?? '', /^(root|block)\.ext4 cannot have \d+M: give it 16M to 16T$/);
      assert.deepEqual(readdirSync(folder), ['root.ext4']);
    }
    renameSync(`${folder}/root.ext4`, `${exportsFolder}/private/.netboot/${SERIAL}.root.ext4.away`);
    assert.equal((await prepare([root(size)])).problem, undefined, 'it is taken back first');
    assert.deepEqual(readdirSync(folder), ['root.ext4']);
  });
}

test('a disk that finds no room takes none from its node, also one that it has no more by its settings', async () => {
  mkdirSync(exportsFolder);
  sh('mount', '-t', 'tmpfs', '-o', 'size=64m', 'netboot-test', exportsFolder);
  try {
    await prepare([root(64)]);
    const left = Number(sh('stat', '--file-system', '--format=%f', exportsFolder));
    sh('dd', 'if=/dev/zero', `of=${exportsFolder}/full`, 'bs=4k', `count=${left - 4}`, 'status=none');
    for (const disks of [[root(64), block(1024)], [block(1024)]]) {
      const { problem, remark, isIncomplete } = await prepare(disks);
      assert.deepEqual([problem, isIncomplete], [undefined, true]);
      assert.match(remark ?? '', /^the disk of .* is full: make room there, and block\.ext4 is made$/);
    }
    const reset = await prepare([root(64), block(1024)], { epoch: 1 });
    assert.match(reset.problem ?? '', /is full/, 'of a reset all are new, or it begins again');
    unlinkSync(`${exportsFolder}/full`);
    assert.deepEqual(await prepare([root(64), block(1024)], { epoch: 1 }), {});
    assert.ok(isSound(`${folder}/root.ext4`) && isSound(`${folder}/block.ext4`));
  } finally {
    sh('umount', exportsFolder);
  }
});

test('a reset that was cut short leaves nothing of what was known of the old disks', async () => {
  await prepare([root(64)]);
  const { problem } = await prepare([root(32), block(1)], { epoch: 1 });
  assert.match(problem ?? '', /block\.ext4 cannot have/);
  assert.deepEqual(await prepare([root(32)]), {});
});

test('a reset makes room itself where there is none', async () => {
  mkdirSync(exportsFolder);
  sh('mount', '-t', 'tmpfs', '-o', 'size=64m', 'netboot-test', exportsFolder);
  try {
    await prepare([root(32), block(64)]);
    const fill = ['if=/dev/zero', `of=${folder}/block.ext4`, 'bs=4k', 'conv=notrunc', 'status=none'];
    assert.throws(() => sh('dd', ...fill));
    assert.equal(sh('stat', '--file-system', '--format=%f', exportsFolder).trim(), '0');
    assert.deepEqual(await prepare([root(32)], { epoch: 1 }), {});
    assert.ok(isSound(`${folder}/root.ext4`) && !existsSync(`${folder}/block.ext4`));
  } finally {
    sh('umount', exportsFolder);
  }
});

// The node is root in its folder, and may put there what it likes.
const HOSTILE: ReadonlyArray<{ name: string; put: (disk: string) => void }> = [
  { name: 'a link to a file of ours', put: (disk) => symlinkSync(`${top}/ours`, disk) },
  { name: 'a link to nothing', put: (disk) => symlinkSync(`${top}/nothing`, disk) },
  { name: 'a FIFO', put: (disk) => void sh('mkfifo', disk) },
  { name: 'a device', put: (disk) => void sh('mknod', disk, 'c', '1', '5') },
  { name: 'a folder', put: (disk) => mkdirSync(disk) },
];
for (const { name, put } of HOSTILE) {
  test(`in place of its disk the node has put ${name}: only it is refused, and nothing is touched`, async () => {
    const disk = `${folder}/root.ext4`;
    writeFileSync(`${top}/ours`, 'ours\n');
    await prepare([root(64)]);
    unlinkSync(disk);
    put(disk);
    const { problem } = await prepare([root(128)], { growUntil: SOON() });
    assert.match(problem ?? '', /is no disk: the node has put something else there/);
    assert.equal(readFileSync(`${top}/ours`, 'utf8'), 'ours\n');
    assert.ok(!existsSync(`${top}/nothing`));
    if (name === 'a folder') {
      mkdirSync(`${disk}/more/and/more`, { recursive: true });
      symlinkSync(`${top}`, `${disk}/more/out`);
    }
    assert.deepEqual(await prepare([root(64)], { epoch: 1 }), {});
    assert.ok(isSound(disk));
    assert.equal(readFileSync(`${top}/ours`, 'utf8'), 'ours\n');
  });
}

test('what looks into a disk is nobody, and a disk that is rubbish stays the node’s own affair', async () => {
  const disk = `${folder}/root.ext4`;
  await prepare([root(64)]);
  writeFileSync(disk, 'rubbish');
  linkSync(disk, `${folder}/another-name`);
  const { problem, remark } = await prepare([root(128)], { growUntil: SOON() });
  assert.equal(problem, undefined);
  assert.match(remark ?? '', /root\.ext4 could not grow to 128M: e2fsck failed/);
  assert.ok(existsSync(disk));
});

const OUT_OF_BOUNDS: ReadonlyArray<{ name: string; given: Partial<Export>; expect: RegExp }> = [
  { name: 'a folder of no node', given: { path: '/PRIVATE/../x' }, expect: /without "\." or "\.\."/ },
  {
    name: 'a name that is no serial number',
    given: { path: '/PRIVATE/everybody' },
    expect: /not the folder of a node/,
  },
  { name: 'all folders', given: { path: '/PRIVATE' }, expect: /not the folder of a node/ },
  { name: 'our own notes', given: { path: '/PRIVATE/.netboot' }, expect: /not the folder of a node/ },
  { name: 'a subnet', given: { clients: ['10.0.0.0/24'] }, expect: /names other clients/ },
  { name: 'two nodes', given: { clients: ['10.0.0.5/32', '10.0.0.6/32'] }, expect: /names other clients/ },
  {
    name: 'a folder of a node for everybody',
    given: { area: undefined },
    expect: /belongs to one node each/,
  },
  { name: 'a disk too small', given: { area: { disks: [root(1)], epoch: 0 } }, expect: /give it 16M to 16T/ },
  {
    name: 'a disk too large',
    given: { area: { disks: [root(1e12)], epoch: 0 } },
    expect: /give it 16M to 16T/,
  },
];
for (const { name, given, expect } of OUT_OF_BOUNDS) {
  test(`out of bounds: ${name}`, async () => {
    const path = given.path?.replace('/PRIVATE', `${exportsFolder}/private`) ?? folder;
    const asked = { ...entry([root(64)]), ...given, path } as Export;
    const { problem } = await prepareExport(asked, { exportsFolder, generationsFolder: '/nowhere' });
    assert.match(problem ?? '', expect);
  });
}

test('without an address it is ready, and says that nobody may mount it', async () => {
  const asked = { ...entry([root(64)]), clients: [] };
  const { remark } = await prepareExport(asked, { exportsFolder, generationsFolder: '/nowhere' });
  assert.match(remark ?? '', /not exported yet: nothing has told the address of its node/);
  assert.ok(isSound(`${folder}/root.ext4`));
});
