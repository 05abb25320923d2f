import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFile,
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { run } from '../../../src/host/run.ts';
import { readGenerations } from '../../../src/imaging/generation/generations.ts';
import { protect, unprotect } from '../../../src/imaging/generation/immutable.ts';
import { LISTING, unpackListing } from '../../../src/imaging/generation/listing.ts';
import { type GenerationOrder, sealGeneration } from '../../../src/imaging/generation/seal.ts';
import { parseLock } from '../../../src/imaging/packages/lock-file.ts';
import type { Lock } from '../../../src/imaging/plan/step.ts';

const LOCK: Lock = {
  version: 1,
  image: 'web',
  steps: {
    'web/packages': {
      packages: [
        {
          name: 'nginx',
          version: '1.26.3-3',
          architecture: 'arm64',
          sha256: 'c'.repeat(64),
          size: 7,
          filename: 'pool/main/n/nginx/nginx_1.26.3-3_arm64.deb',
          purpose: 'install',
        },
      ],
      removed: [],
    },
  },
};
const CHAIN = [
  { image: 'base', text: 'base: {debian: trixie}\n' },
  { image: 'web', text: 'base: {from: base}\n' },
];
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

async function builtFiles(t: TestContext): Promise<GenerationOrder & { top: string }> {
  const top = await mkdtemp(join(tmpdir(), 'netboot-seal-'));
  t.after(async () => {
    const generations = join(top, 'generations');
    for (const name of await readdir(generations).catch(() => []))
      await unprotect(run, join(generations, name));
    await rm(top, { recursive: true });
  });
  const [squashed, kernel, firmware] = [join(top, 'squash'), join(top, 'initramfs'), join(top, 'boot-tree')];
  for (const folder of [squashed, kernel, join(firmware, 'overlays'), join(top, 'generations')])
    await mkdir(folder, { recursive: true });
  await writeFile(join(squashed, 'root.squashfs'), 'root', { mode: 0o600 });
  await writeFile(join(squashed, 'packages.txt'), 'nginx 1.26.3-3 arm64 nginx 1.26.3-3\nzstd 1.5.7\n');
  await writeFile(join(kernel, 'kernel8.img'), 'kernel', { mode: 0o600 });
  await writeFile(join(firmware, 'overlays/README'), 'read me');
  await writeFile(join(top, 'web.log'), 'all went well\n');
  return {
    top,
    image: 'web',
    arch: 'arm64',
    recipeKey: 'a'.repeat(64),
    boot: { kernel: 'kernel8.img', config: ['arm_64bit=1'], cmdline: [] },
    roles: { web: { target: 'web-cluster-node.target' } },
    squashed,
    bootTrees: [firmware, kernel],
    logFile: join(top, 'web.log'),
    generationsFolder: join(top, 'generations'),
    chain: CHAIN,
    variables: { port: 80 },
    lock: LOCK,
    seconds: 12.34,
    epoch: 1_760_000_000,
    now: () => new Date('2026-11-21T10:00:00Z'),
  };
}

describe('sealGeneration', () => {
  it('makes a generation that is read back as it was given', async (t) => {
    const order = await builtFiles(t);
    const sealed = await sealGeneration(order);
    assert.match(sealed.id, /^web-[0-9a-f]{12}$/);
    assert.deepEqual(sealed.packages, { nginx: '1.26.3-3', zstd: '1.5.7' });
    assert.deepEqual(Object.keys(sealed.boot.files), ['kernel8.img', 'overlays/README']);
    assert.equal(sealed.boot.files['kernel8.img']?.size, 6);
    assert.deepEqual(await readGenerations(order.generationsFolder), { generations: [sealed], problems: [] });
    const text = (name: string) => readFile(join(sealed.folder, name), 'utf8');
    assert.equal(await text('build.log'), 'all went well\n');
    assert.equal(await text('recipe/base.yaml'), CHAIN[0]?.text);
    assert.deepEqual(parseLock(await text('image.lock'), 'image.lock'), LOCK);
    assert.equal(JSON.parse(await text('sbom.cdx.json')).components.length, 2);
  });

  it('says how it came to be', async (t) => {
    const { origin, folder } = await sealGeneration(await builtFiles(t));
    assert.match(origin?.by ?? '', /^.+@.+$/);
    const { by: _, ...rest } = origin ?? assert.fail('no origin');
    assert.deepEqual(rest, {
      seconds: 12.3,
      chain: CHAIN.map(({ image, text }) => ({ image, recipe: sha256(text) })),
      variables: { port: 80 },
      lock: sha256(await readFile(join(folder, 'image.lock'), 'utf8')),
    });
  });

  it('leaves everything readable for servers that are not root, and writable for nobody (checklist 54)', async (t) => {
    const { folder } = await sealGeneration(await builtFiles(t));
    for (const path of ['root.squashfs', 'manifest.json', 'build.log', 'boot/kernel8.img', 'recipe/web.yaml'])
      assert.equal((await stat(join(folder, path))).mode & 0o777, 0o444, path);
    for (const path of ['.', 'boot', 'boot/overlays', 'recipe'])
      assert.equal((await stat(join(folder, path))).mode & 0o777, 0o555, path);
  });

  it('moves the root, however large it is, and shares nothing with the cache', async (t) => {
    const order = await builtFiles(t);
    const { ino } = await stat(join(order.squashed, 'root.squashfs'));
    const { folder } = await sealGeneration(order);
    assert.equal((await stat(join(folder, 'root.squashfs'))).ino, ino);
    await writeFile(join(order.top, 'initramfs/kernel8.img'), 'another');
    assert.equal(await readFile(join(folder, 'boot/kernel8.img'), 'utf8'), 'kernel');
  });

  it('lists the files of the root as the step found them', async (t) => {
    const order = await builtFiles(t);
    await writeFile(
      join(order.squashed, 'files.0'),
      'd 755 0 0 4096 \0etc\0f 640 0 33 3 \0etc/a b\nc\0l 777 0 0 4 etc/\0e\0',
    );
    await writeFile(join(order.squashed, 'hashes.0'), `${'d'.repeat(64)}  etc/a b\nc\0`);
    const { folder } = await sealGeneration(order);
    assert.deepEqual(unpackListing(await readFile(join(folder, LISTING))), [
      { path: 'e', type: 'l', mode: '777', uid: 0, gid: 0, target: 'etc/' },
      { path: 'etc', type: 'd', mode: '755', uid: 0, gid: 0 },
      { path: 'etc/a b\nc', type: 'f', mode: '640', uid: 0, gid: 33, size: 3, sha256: 'd'.repeat(64) },
    ]);
  });

  it('tells what its nodes can do, and how they have their root', async (t) => {
    const order = await builtFiles(t);
    assert.deepEqual((await sealGeneration(order)).provides, [], 'no initramfs, no units');
    const other = await builtFiles(t);
    const unit = 'etc/systemd/system/netboot-report.service';
    await writeFile(join(other.squashed, 'files.0'), `f 644 0 0 3 \0${unit}\0`);
    await writeFile(join(other.squashed, 'hashes.0'), `${'d'.repeat(64)}  ${unit}\0`);
    const node = { root: 'overlay', memory: '256M' } as const;
    const boot = { ...other.boot, initramfs: 'initramfs8' };
    const sealed = await sealGeneration({ ...other, boot, node });
    assert.deepEqual(sealed.provides, ['root-modes', 'reports']);
    assert.deepEqual(sealed.node, node);
  });

  const changes: ReadonlyArray<{
    given: string;
    change: (order: GenerationOrder) => unknown;
    same: boolean;
  }> = [
    {
      given: 'another time',
      change: (order) => Object.assign(order, { now: () => new Date(0) }),
      same: true,
    },
    { given: 'another duration', change: (order) => Object.assign(order, { seconds: 99 }), same: true },
    { given: 'another log', change: ({ logFile }) => appendFile(logFile, 'and more'), same: true },
    {
      given: 'another user',
      change: () => Object.assign(process.env, { SUDO_USER: 'somebody' }),
      same: true,
    },
    {
      given: 'another kind of root',
      change: (order) => Object.assign(order, { node: { root: 'overlay' } }),
      same: false,
    },
    {
      given: 'another root',
      change: ({ squashed }) => writeFile(join(squashed, 'root.squashfs'), 'Root'),
      same: false,
    },
    {
      given: 'another kernel',
      change: ({ bootTrees }) => writeFile(join(bootTrees[1] ?? '', 'kernel8.img'), 'K'),
      same: false,
    },
    {
      given: 'another setting',
      change: (order) => Object.assign(order, { boot: { ...order.boot, cmdline: ['quiet'] } }),
      same: false,
    },
  ];
  for (const { given, change, same } of changes) {
    it(`gives ${given} ${same ? 'the same' : 'another'} id and content hash`, async (t) => {
      const sudoUser = process.env.SUDO_USER;
      t.after(() =>
        sudoUser === undefined
          ? delete process.env.SUDO_USER
          : Object.assign(process.env, { SUDO_USER: sudoUser }),
      );
      const first = await sealGeneration(await builtFiles(t));
      const order = await builtFiles(t);
      await change(order);
      const second = await sealGeneration(order);
      assert.equal(second.id === first.id, same);
      assert.equal(second.contains === first.contains, same);
    });
  }

  it('keeps the generation that is there when the same content comes again', async (t) => {
    const [first, again] = [await builtFiles(t), await builtFiles(t)];
    const sealed = await sealGeneration(first);
    const second = await sealGeneration({
      ...again,
      now: () => new Date(0),
      generationsFolder: first.generationsFolder,
    });
    assert.deepEqual(second, sealed, 'also when it was sealed');
    assert.deepEqual(await readdir(first.generationsFolder), [sealed.id]);
  });

  it('replaces a generation that was damaged by the same content', async (t) => {
    const [first, again] = [await builtFiles(t), await builtFiles(t)];
    const sealed = await sealGeneration({ ...first, protectWith: run });
    await unprotect(run, sealed.folder);
    await chmod(join(sealed.folder, 'root.squashfs'), 0o644);
    await truncate(join(sealed.folder, 'root.squashfs'), 1);
    await protect(run, sealed.folder);
    await sealGeneration({ ...again, generationsFolder: first.generationsFolder, protectWith: run });
    assert.deepEqual((await readGenerations(first.generationsFolder)).problems, []);
    assert.equal(await readFile(join(sealed.folder, 'root.squashfs'), 'utf8'), 'root');
    assert.deepEqual(await readdir(first.generationsFolder), [sealed.id]);
  });

  for (const missing of ['squash/root.squashfs', 'squash/packages.txt', 'boot-tree', 'web.log']) {
    it(`leaves nothing behind when ${missing} is missing`, async (t) => {
      const order = await builtFiles(t);
      await rm(join(order.top, missing), { recursive: true });
      await assert.rejects(sealGeneration(order), /ENOENT/);
      assert.deepEqual(await readdir(order.generationsFolder), []);
    });
  }

  it('refuses two boot trees with the same file', async (t) => {
    const order = await builtFiles(t);
    await writeFile(join(order.bootTrees[0] ?? '', 'kernel8.img'), 'another kernel');
    await assert.rejects(sealGeneration(order), /EEXIST/);
  });

  it('clears away what builds killed while sealing left, and nothing of one that runs', async (t) => {
    const order = await builtFiles(t);
    const start = execFileSync('awk', ['{print $22}', `/proc/${process.ppid}/stat`], {
      encoding: 'utf8',
    }).trim();
    const living = `.sealing.${process.ppid}.${start}.abcdef01`;
    for (const name of [`.sealing.${process.ppid}.1.abcdef01`, '.sealing', living])
      await mkdir(join(order.generationsFolder, name, 'boot'), { recursive: true });
    const { id } = await sealGeneration(order);
    assert.deepEqual((await readdir(order.generationsFolder)).toSorted(), [living, id].toSorted());
  });

  const isRoot = process.geteuid?.() === 0;
  it('protects it from everybody, root included, until that is taken back', { skip: !isRoot }, async (t) => {
    const order = await builtFiles(t);
    const { folder } = await sealGeneration({ ...order, protectWith: run });
    if (!(await protect(run, folder))) return t.skip('no immutable files here');
    for (const name of ['root.squashfs', 'manifest.json', 'boot/kernel8.img']) {
      await assert.rejects(appendFile(join(folder, name), 'x'), /EPERM/);
      await assert.rejects(unlink(join(folder, name)), /EPERM/);
    }
    assert.throws(() => execFileSync('rm', ['-rf', folder], { stdio: 'pipe' }), /not permitted/);
    assert.deepEqual((await readdir(folder, { recursive: true })).length, 12);
    await unprotect(run, folder);
    await rm(folder, { recursive: true });
  });

  it('says so when the disk fills up, and leaves nothing on it', { skip: !isRoot }, async (t) => {
    const { now: _, ...order } = await builtFiles(t);
    await writeFile(join(order.bootTrees[0] ?? '', 'large'), Buffer.alloc(1 << 20));
    const program = `
      const { sealGeneration } = await import(${JSON.stringify(import.meta.resolve('../../../src/imaging/generation/seal.ts'))});
      const order = JSON.parse(process.argv[1]);
      await sealGeneration({ ...order, now: () => new Date(0) }).catch((error) => console.log(error.message));
      console.log((await import('node:fs')).readdirSync(order.generationsFolder).length);`;
    // The small disk is in a mount namespace that ends with the shell.
    const script = 'mount -t tmpfs -o size=512k small "$1"; exec "$2" --input-type=module -e "$3" "$4"';
    const shell = ['--mount', 'sh', '-euc', script, 'sh'];
    const args = [...shell, order.generationsFolder, process.execPath, program, JSON.stringify(order)];
    const said = execFileSync('unshare', args, { encoding: 'utf8' });
    assert.equal(
      said,
      `The disk of ${order.generationsFolder} is full. Make room there and build again\n0\n`,
    );
  });
});
