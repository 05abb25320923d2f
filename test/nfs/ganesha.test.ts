import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { Export } from '../../src/nfs/export.ts';
import { rootHandle } from './mount-handle.ts';
import { INSIDE, NfsRack, needPrograms, OUTSIDE, until } from './nfs-rack.ts';

const PROGRAMS = [
  'ip',
  'nsenter',
  'setpriv',
  'mksquashfs',
  'losetup',
  'nfs-ls',
  'nfs-cat',
  'nfs-cp',
  'ganesha.nfsd',
  'rpcbind',
];
const big = randomBytes(24 * 1024 * 1024);

let rack: NfsRack;
let web: Export;
let other: Export;

before(async () => {
  needPrograms(...PROGRAMS);
  rack = new NfsRack();
  web = rack.seal('web-111111111111', { release: 'web one\n', big });
  other = rack.seal('db-222222222222', { release: 'db\n' });
  rack.start();
  const state = await rack.apply([web, rack.www]);
  assert.equal(state.kind, 'ganesha', 'the kernel does not serve a network namespace made by a test');
  assert.deepEqual(
    state.exports.map(({ path, problem }) => [path, problem]),
    [
      [web.path, undefined],
      [rack.www.path, undefined],
    ],
  );
});

after(() => rack?.close(), { timeout: 15_000 });

const url = (path: string, version: 3 | 4 = 3, address = INSIDE) =>
  `nfs://${address}${path}?version=${version}`;

for (const version of [3, 4] as const) {
  test(`NFSv${version} clients list and read a sealed root and the web content`, () => {
    writeFileSync(`${rack.www.path}/html/index.html`, `page for v${version}\n`);
    assert.match(rack.sh('nfs-ls', url(web.path, version)), /release/);
    assert.equal(rack.sh('nfs-cat', url(`${web.path}/release`, version)), 'web one\n');
    assert.equal(
      rack.sh('nfs-cat', url(`${rack.www.path}/html/index.html`, version)),
      `page for v${version}\n`,
    );
  });

  test(`an address outside the subnets gets nothing over NFSv${version}`, () => {
    for (const { path } of [web, rack.www])
      assert.throws(() => rack.sh('nfs-ls', url(path, version, OUTSIDE)));
  });
}

test('the web content is made as S1-5 says and can be written; a sealed root cannot (checklist 56)', () => {
  assert.ok(existsSync(`${rack.www.path}/cgi-bin`));
  const upload = `${rack.folder}/upload`;
  writeFileSync(upload, 'written by a node\n');
  rack.sh('nfs-cp', upload, url(`${rack.www.path}/html/upload`));
  assert.equal(readFileSync(`${rack.www.path}/html/upload`, 'utf8'), 'written by a node\n');
  assert.throws(() => rack.sh('nfs-cp', upload, url(`${web.path}/upload`)));
});

test('what is edited on the appliance is what the nodes read next, whichever way the editor saves', () => {
  const page = `${rack.www.path}/html/page.html`;
  for (const text of ['first\n', 'second, longer\n', 'third\n']) {
    writeFileSync(page, text);
    assert.equal(rack.sh('nfs-cat', url(page)), text);
  }
  writeFileSync(`${page}.new`, 'replaced\n');
  renameSync(`${page}.new`, page);
  assert.equal(rack.sh('nfs-cat', url(page)), 'replaced\n');
});

test('an export is added, a broken one is only its own problem, and one is removed', async () => {
  const serving = ganesha();
  const broken = {
    ...other,
    path: `${rack.exportsFolder}/images/gone-333333333333`,
    squashfs: `${other.squashfs}.gone`,
  };
  const state = await rack.apply([web, other, broken, rack.www]);
  assert.deepEqual(
    state.exports.map(({ problem }) => problem),
    [undefined, undefined, `its root ${broken.squashfs} is missing`, undefined],
  );
  assert.equal(rack.sh('nfs-cat', url(`${other.path}/release`)), 'db\n');
  assert.equal(rack.sh('nfs-cat', url(`${other.path}/release`, 4)), 'db\n');
  assert.equal(rack.sh('nfs-cat', url(`${web.path}/release`)), 'web one\n');
  await rack.apply([web, rack.www]);
  assert.throws(() => rack.sh('nfs-cat', url(`${other.path}/release`)));
  assert.ok(!rack.remains().some((line) => line.includes('db-222222222222')), 'its mount is gone');
  assert.equal(rack.sh('nfs-cat', url(`${web.path}/release`)), 'web one\n');
  assert.equal(ganesha(), serving, 'the server was not restarted for that');
});

test('kill -9 leaves nothing; after the restart the handles are the same and a running reader goes on', async () => {
  await rack.apply([web, other, rack.www]);
  const handles = () => [web, other, rack.www].map(({ path }) => rootHandle(rack, path));
  const before = handles();
  // Nobody empties its pipe yet: it is stopped in the midst of the file, with its file handle in hand.
  const reader = rack.spawn('nfs-cat', url(`${web.path}/big`));
  try {
    assert.ok(reader.stdout);
    await once(reader.stdout, 'readable', { signal: AbortSignal.timeout(5000) });

    await rack.kill();
    const servers = () => rack.processes().filter(({ command }) => !command.startsWith('nfs-cat'));
    await until('no process of ours is left', () => servers().length === 0);
    await until('no loop device and no mount is left', () => rack.remains().length === 0);

    rack.start();
    // In another order, so that on the first free loop devices the handles would be swapped.
    await rack.apply([other, web, rack.www]);
    assert.deepEqual(handles(), before);
    const chunks: Buffer[] = [];
    reader.stdout.on('data', (chunk) => chunks.push(chunk));
    await once(reader, 'close', { signal: AbortSignal.timeout(15_000) });
    // What libnfs 5 (Debian 13) prints between the bytes of the file.
    const got = Buffer.concat(chunks).toString('latin1').replace('reconnect reset waitpdu queues\n', '');
    assert.ok(got === big.toString('latin1'), 'the reader got the whole file');
  } finally {
    reader.kill('SIGKILL');
  }
});

test('Ganesha is started again when it dies by itself', async () => {
  const died = ganesha();
  process.kill(died, 'SIGKILL');
  await until(
    'another Ganesha serves',
    () => {
      try {
        return ganesha() !== died && rack.sh('nfs-cat', url(`${web.path}/release`)) === 'web one\n';
      } catch {
        return false;
      }
    },
    10_000,
  );
});

test('kill -9 at any moment of the start leaves nothing', async () => {
  for (const delay of [10, 40, 90, 160, 250, 400]) {
    await rack.kill();
    await until('nothing is left', () => rack.processes().length === 0 && rack.remains().length === 0);
    rack.start();
    await rack.apply();
    rack.apply([web, other, rack.www]).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, delay));
  }
  await rack.kill();
  await until('nothing is left', () => rack.processes().length === 0 && rack.remains().length === 0);
  rack.start();
  const { exports } = await rack.apply([web, rack.www]);
  assert.deepEqual(
    exports.map(({ problem }) => problem),
    [undefined, undefined],
  );
});

test('without a loopback, says so and how to mend it', async () => {
  await rack.kill();
  rack.sh('ip', 'link', 'set', 'lo', 'down');
  rack.start();
  const { problem } = await rack.apply([web, rack.www]);
  assert.match(problem ?? '', /ip link set lo up/);
  rack.sh('ip', 'link', 'set', 'lo', 'up');
  const { exports } = await rack.apply([web, rack.www]);
  assert.deepEqual(
    exports.map(({ problem }) => problem),
    [undefined, undefined],
  );
});

test('stopping ends the servers and takes the mounts away', async () => {
  assert.ok(rack.server);
  const ended = once(rack.server, 'exit');
  rack.server.stdin?.end();
  assert.deepEqual(await ended, [0, null]);
  assert.deepEqual([rack.processes(), rack.remains()], [[], []]);
});

function ganesha(): number {
  const found = rack.processes().filter(({ command }) => command.startsWith('ganesha.nfsd'));
  assert.equal(found.length, 1, 'one Ganesha runs');
  return found[0]?.pid ?? 0;
}
