import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Area, Export } from '../../src/nfs/export.ts';
import { rootHandle, statusOfHandle } from './mount-handle.ts';
import { INSIDE, NfsRack, needPrograms, OUTSIDE, until } from './nfs-rack.ts';

const MIB = 2 ** 20;
const VERSIONS = [3, 4] as const;

let rack: NfsRack;
let web: Export;
let isMounted = false;

/** The exports lie on a file system of their own, of 96 MiB, that a test can fill. */
before(async () => {
  needPrograms(
    'ip',
    'nsenter',
    'setpriv',
    'mke2fs',
    'nfs-ls',
    'nfs-cat',
    'nfs-cp',
    'ganesha.nfsd',
    'rpcbind',
  );
  rack = new NfsRack();
  const image = `${rack.folder}/exports.ext4`;
  writeFileSync(image, '');
  truncateSync(image, 96 * MIB);
  mkdirSync(rack.exportsFolder);
  execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', '-m', '0', image]);
  execFileSync('mount', ['-o', 'loop', image, rack.exportsFolder]);
  isMounted = true;
  web = rack.seal('web-111111111111', { release: 'web\n', big: randomBytes(24 * MIB) });
  rack.start();
});
after(
  async () => {
    await rack?.kill();
    await until('nothing of ours runs', () => rack.processes().length === 0);
    if (isMounted) execFileSync('umount', [rack.exportsFolder]);
    await rack?.close();
  },
  { timeout: 15_000 },
);

function own(serial: string, address: string | undefined, mebibytes = 64, area: Partial<Area> = {}): Export {
  return {
    path: `${rack.exportsFolder}/private/${serial}`,
    clients: address === undefined ? [] : [`${address}/32`],
    options: ['rw', 'sync', 'no_root_squash', 'subtree_check'],
    area: { disks: [{ name: 'root.ext4', bytes: mebibytes * MIB }], epoch: 0, ...area },
  };
}

/** A is inside, B outside. */
const A = (...rest: [number?, Partial<Area>?]) => own('aaaaaaaa', INSIDE, ...rest);
const B = (...rest: [number?, Partial<Area>?]) => own('bbbbbbbb', OUTSIDE, ...rest);

const url = (path: string, address: string, version: 3 | 4 = 3) =>
  `nfs://${address}${path}?version=${version}`;
const list = (of: Export, address: string, version: 3 | 4 = 3) =>
  rack.sh('nfs-ls', url(of.path, address, version));

async function apply(...exports: Export[]): Promise<void> {
  const state = await rack.apply([web, ...exports, rack.www]);
  assert.equal(state.problem, undefined);
  assert.deepEqual(
    state.exports.flatMap(({ path, problem }) => (problem ? [`${path}: ${problem}`] : [])),
    [],
  );
}

function ganesha(): number {
  const found = rack.processes().filter(({ command }) => command.startsWith('ganesha.nfsd'));
  assert.equal(found.length, 1, 'one Ganesha runs');
  return found[0]?.pid ?? 0;
}

for (const version of VERSIONS) {
  test(`a node writes to its own folder over NFSv${version}, and cannot mount another's`, async () => {
    await apply(A(), B());
    const note = `${rack.folder}/note`;
    writeFileSync(note, `by A with ${version}\n`);
    rack.sh('nfs-cp', note, url(`${A().path}/note-${version}`, INSIDE, version));
    assert.equal(readFileSync(`${A().path}/note-${version}`, 'utf8'), `by A with ${version}\n`);
    assert.match(list(B(), OUTSIDE, version), /root\.ext4/);
    for (const [of, from] of [
      [A(), OUTSIDE],
      [B(), INSIDE],
    ] as const) {
      assert.throws(() => list(of, from, version), /Permission denied|NFS4ERR_(NOENT|ACCES)/);
      const file = url(`${of.path}/root.ext4`, from, version);
      assert.throws(() => rack.sh('nfs-cat', file));
      assert.throws(() => rack.sh('nfs-cp', note, file));
    }
    // By NFSv4 one sees the names above what one may mount, and nothing else of it.
    const above = `${rack.exportsFolder}/private`;
    if (version === 3) assert.throws(() => rack.sh('nfs-ls', url(above, OUTSIDE)));
    else assert.doesNotMatch(rack.sh('nfs-ls', url(above, OUTSIDE, 4)), /aaaaaaaa|netboot/);
  });
}

test('a handle of A’s folder, however B got it, does nothing for B', async () => {
  await apply(A(), B());
  const handle = rootHandle(rack, A().path);
  assert.equal(statusOfHandle(rack, handle, INSIDE), '0');
  assert.notEqual(statusOfHandle(rack, handle, OUTSIDE), '0');
});

test('a node whose address nobody knows has its disk made, and nobody may mount it', async () => {
  const lost = own('cccccccc', undefined);
  const { exports } = await rack.apply([web, lost, rack.www]);
  const state = exports.find(({ path }) => path === lost.path);
  assert.equal(state?.problem, undefined);
  assert.match(state?.remark ?? '', /not exported yet/);
  assert.equal(statSync(`${lost.path}/root.ext4`).size, 64 * MIB);
  for (const from of [INSIDE, OUTSIDE]) assert.throws(() => list(lost, from));
});

test('a node that has another address is exported to that one alone; who reads meanwhile goes on', async () => {
  await apply(A(), B());
  const serving = ganesha();
  const handle = rootHandle(rack, A().path);
  const reader = rack.spawn('nfs-cat', url(`${web.path}/big`, INSIDE));
  try {
    assert.ok(reader.stdout);
    await once(reader.stdout, 'readable', { signal: AbortSignal.timeout(5000) });
    const moved = own('aaaaaaaa', OUTSIDE);
    await apply(moved);
    for (const version of VERSIONS) {
      assert.match(list(moved, OUTSIDE, version), /root\.ext4/);
      assert.throws(() => list(moved, INSIDE, version));
    }
    assert.notEqual(statusOfHandle(rack, handle, INSIDE), '0');
    assert.equal(statusOfHandle(rack, handle, OUTSIDE), '0', 'the handle is the same for who it belongs to');
    assert.throws(() => list(B(), OUTSIDE), 'the folder of a node that was removed is exported no more');
    assert.ok(statSync(`${B().path}/root.ext4`).isFile(), 'and stays');
    let bytes = 0;
    reader.stdout.on('data', (chunk) => {
      bytes += chunk.length;
    });
    await once(reader, 'close', { signal: AbortSignal.timeout(15_000) });
    assert.ok(bytes >= 24 * MIB, `the reader got ${bytes} bytes`);
    assert.equal(ganesha(), serving, 'the server was not restarted for that');
  } finally {
    reader.kill('SIGKILL');
  }
});

test('a disk that grew, and one that was made anew, are what the node sees next', async () => {
  await apply(A());
  const size = (version: 3 | 4) => Number(/\s(\d+)\s+root\.ext4/.exec(list(A(), INSIDE, version))?.[1]);
  for (const version of VERSIONS) assert.equal(size(version), 64 * MIB);
  await apply(A(80, { growUntil: Date.now() + 10_000 }));
  for (const version of VERSIONS) assert.equal(size(version), 80 * MIB);
  const inode = statSync(`${A().path}/root.ext4`).ino;
  await apply(A(32, { epoch: 5 }));
  for (const version of VERSIONS) assert.equal(size(version), 32 * MIB);
  assert.notEqual(statSync(`${A().path}/root.ext4`).ino, inode);
  const magic = execFileSync('dd', [
    `if=${A().path}/root.ext4`,
    'bs=1',
    'skip=1080',
    'count=2',
    'status=none',
  ]);
  const seen = rack.sh(
    'sh',
    '-c',
    `nfs-cat '${url(`${A().path}/root.ext4`, INSIDE)}' | dd bs=1 skip=1080 count=2 status=none | od -An -tx1`,
  );
  assert.equal(seen.trim().replaceAll(' ', ''), magic.toString('hex'));
});

test('a node that fills all there is harms neither what others have nor what they read', async () => {
  await apply(A(32, { epoch: 5 }), B());
  const rubbish = `${rack.folder}/rubbish`;
  writeFileSync(rubbish, randomBytes(120 * MIB));
  assert.throws(() => rack.sh('nfs-cp', rubbish, url(`${A().path}/rubbish`, INSIDE)));
  // libnfs gives up with its last large write; the last kilobytes are filled here.
  assert.throws(() =>
    execFileSync('dd', ['if=/dev/zero', `of=${A().path}/more`, 'bs=4k'], { stdio: 'ignore' }),
  );
  assert.match(list(B(), OUTSIDE), /root\.ext4/);
  execFileSync('e2fsck', ['-f', '-n', `${B().path}/root.ext4`], { stdio: 'ignore' });
  assert.equal(rack.sh('nfs-cat', url(`${web.path}/release`, INSIDE)), 'web\n');

  const fresh = own('dddddddd', OUTSIDE);
  const { exports } = await rack.apply([web, A(32, { epoch: 5 }), B(), fresh, rack.www]);
  assert.deepEqual(
    exports.flatMap(({ path, problem }) => (problem ? [[path, /is full: make room/.test(problem)]] : [])),
    [[fresh.path, true]],
    'only the disk that has to be made is a problem',
  );
  execFileSync('rm', [`${A().path}/rubbish`, `${A().path}/more`]);
  const hasProblem = async () => (await rack.apply()).exports.some(({ problem }) => problem !== undefined);
  for (const deadline = Date.now() + 15_000; Date.now() < deadline && (await hasProblem()); )
    await sleep(500);
  assert.equal(await hasProblem(), false, 'there is room, and its disk is made without a further call');
  assert.equal(statSync(`${fresh.path}/root.ext4`).size, 64 * MIB);
  assert.match(list(fresh, OUTSIDE), /root\.ext4/);
});

test('after kill -9 and a restart the handles are the same', async () => {
  await apply(A(), B());
  const before = rootHandle(rack, A().path);
  await rack.kill();
  await until('nothing of ours runs', () => rack.processes().length === 0);
  rack.start();
  await apply(B(), A());
  assert.equal(rootHandle(rack, A().path), before);
});

test('two hundred nodes have their folders within seconds, and one that moves costs no more', async (t) => {
  execFileSync('umount', ['--lazy', rack.exportsFolder]);
  isMounted = false;
  await rack.kill();
  await until('nothing of ours runs', () => rack.processes().length === 0);
  rack.start();
  const nodes = Array.from({ length: 200 }, (_, index) =>
    own((0xe0000000 + index).toString(16), index === 0 ? INSIDE : `10.77.1.${index}`),
  );
  const took = async (...exports: Export[]) => {
    const startedAt = performance.now();
    await apply(...exports);
    return performance.now() - startedAt;
  };
  const all = await took(...nodes);
  const serving = ganesha();
  const one = await took(...nodes.slice(1), own('e0000000', OUTSIDE));
  t.diagnostic(`${Math.round(all)} ms for all, ${Math.round(one)} ms for one`);
  assert.ok(all < 60_000 && one < 10_000, `${Math.round(all)} ms for all, ${Math.round(one)} ms for one`);
  assert.equal(ganesha(), serving, 'the server was not restarted for that');
  assert.match(list(own('e0000000', OUTSIDE), OUTSIDE), /root\.ext4/);
});
