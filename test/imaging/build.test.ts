import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { run } from '../../src/host/run.ts';
import { buildImage, planBuild } from '../../src/imaging/build.ts';
import { readGenerations } from '../../src/imaging/generation/generations.ts';
import { Refusal } from '../../src/model/command.ts';
import { ranSteps, skip, workshop } from './workshop.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl test';
const HOOK = '#!/bin/sh -e\n';

/** An image on another one: the small root with a file and a hook each. */
async function shop(t: TestContext, hook = 'echo b >/etc/b') {
  const made = await workshop(t, 'leaf');
  const sha256 = await made.addTarball('ground');
  await made.write('ground/image.yaml', `base: {tarball: root.tar.gz, sha256: ${sha256}, arch: amd64}\n`);
  await made.write('ground/rootfs/etc/ground', 'ground\n');
  await made.write('leaf/image.yaml', 'base: {from: ground}\nboot: {initramfs: false}\n');
  await made.write('leaf/rootfs/etc/leaf', 'leaf\n');
  await made.write('leaf/hooks/10-a.sh', `${HOOK}echo a >/etc/a; rm /etc/hostname\n`);
  await made.write('leaf/hooks/20-b.sh', `${HOOK}${hook}\n`);
  return made;
}

const STEPS = [
  'ground/import',
  'ground/files',
  'leaf/files',
  'leaf/hooks/10-a.sh',
  'leaf/hooks/20-b.sh',
  'leaf/clean',
  'leaf/boot-tree',
  'leaf/squash',
];
const from = (id: string) => STEPS.slice(STEPS.indexOf(id));

describe('buildImage', { skip, concurrency: 2 }, () => {
  it('seals a root of all its layers, and finds nothing to do the next time', async (t) => {
    const made = await shop(t);
    const { generation, outcome } = await buildImage(made.order);
    assert.equal(outcome, 'built');
    assert.deepEqual(ranSteps(made.progress), STEPS);
    const list = await run('unsquashfs', ['-lls', join(generation.folder, 'root.squashfs')]);
    for (const path of ['/etc/ground', '/etc/leaf', '/etc/a', '/etc/b'])
      assert.match(list, new RegExp(`${path}$`, 'm'));
    assert.doesNotMatch(list, /etc\/hostname/, 'a file that a hook removed stays removed in later layers');
    assert.deepEqual(Object.keys(generation.boot.files), ['vmlinuz']);
    assert.deepEqual(await readdir(join(made.order.cacheFolder, 'work')), []);

    assert.equal(await made.build(), 'unchanged');
    assert.match((await planBuild(made.order)).text, /leaf\/clean +clean +\[cached\]/);
  });

  it('runs again only what a change reaches, and tells so before', async (t) => {
    const made = await shop(t);
    await made.build();
    await made.write('leaf/hooks/20-b.sh', `${HOOK}echo other >/etc/b\n`);
    const { states } = await planBuild(made.order);
    assert.deepEqual(
      states.map((state) => (state.kind === 'runs after' ? `after ${state.id}` : state.kind)),
      [
        ...['cached', 'cached', 'cached', 'cached', 'will run'],
        ...['after leaf/hooks/20-b.sh', 'after leaf/hooks/20-b.sh', 'after leaf/hooks/20-b.sh'],
      ],
    );
    const ran = from('leaf/hooks/20-b.sh').filter((id) => id !== 'leaf/boot-tree');
    assert.deepEqual(await made.build(), ran, 'the kernel is the same');
  });

  it('goes on at the step that failed, and says what that said last', async (t) => {
    const made = await shop(t, 'echo one; echo it is broken >&2; exit 3');
    const log = join(made.order.cacheFolder, 'logs/leaf.log');
    await assert.rejects(made.build(), (error: Error) => {
      assert.ok(error instanceof Refusal);
      assert.match(
        error.message,
        /"run hooks\/20-b.sh" \(hooks\/20-b.sh\): one \| it is broken\. The log is/,
      );
      assert.ok(error.message.includes(log));
      return true;
    });
    assert.deepEqual(await readdir(made.order.generationsFolder), []);
    assert.deepEqual(await readdir(join(made.order.cacheFolder, 'work')), []);
    assert.match(await readFile(log, 'utf8'), /== leaf\/hooks\/20-b.sh.*\none\nit is broken\n/);
    await made.write('leaf/hooks/20-b.sh', `${HOOK}:\n`);
    assert.deepEqual(await made.build(), from('leaf/hooks/20-b.sh'));
  });

  it('runs again what it is told to, to the same bytes', async (t) => {
    const made = await shop(t);
    const { generation } = await buildImage(made.order);
    assert.deepEqual(await made.build({ fromStep: 'leaf/hooks/10-a.sh' }), from('leaf/hooks/10-a.sh'));
    assert.deepEqual(await made.build({ noCache: true }), STEPS);
    const { generations } = await readGenerations(made.order.generationsFolder);
    assert.deepEqual(
      generations.map(({ id }) => id),
      [generation.id],
    );
    await assert.rejects(made.build({ fromStep: 'leaf/nothing' }), /Its steps are ground\/import, /);
    const before = process.umask(0o077);
    t.after(() => process.umask(before));
    const elsewhere = {
      cacheFolder: join(made.top, 'cache2'),
      generationsFolder: join(made.top, 'generations2'),
    };
    const other = await buildImage({ ...made.order, ...elsewhere });
    assert.equal(
      other.generation.root.sha256,
      generation.root.sha256,
      'from another cache, by another umask',
    );
  });

  it('gives a hook nothing of the host', async (t) => {
    const made = await shop(
      t,
      'env; ls /sys/class/net; ls /dev; id -u; cat /proc/1/comm; true 2>/dev/null >/dev/tcp',
    );
    await buildImage({ ...made.order, settings: {} });
    const said = made.progress.flatMap((event) =>
      event.kind === 'line' && event.step === 'leaf/hooks/20-b.sh' ? [event.line] : [],
    );
    const variables = said.flatMap((line) => /^(\w+)=/.exec(line)?.[1] ?? []).toSorted();
    assert.deepEqual(
      variables.filter((name) => !['PWD', 'SHLVL'].includes(name)),
      ['ARCH', 'DEBIAN_FRONTEND', 'HOME', 'LC_ALL', 'PATH', 'SOURCE_DATE_EPOCH', 'SYSTEMD_OFFLINE'],
    );
    assert.ok(!said.some((line) => /^(eth|en|wl)/.test(line)), 'no network');
    assert.ok(!said.some((line) => /^(vd|sd|nvme|loop)/.test(line)), 'no disks');
    assert.ok(said.includes('sh'), 'a process namespace of its own');
  });

  it('stops in the middle of a step when told to', async (t) => {
    const made = await shop(t, 'echo ready; sleep 60');
    const stop = new AbortController();
    const order = { ...made.order, signal: stop.signal };
    const progress: typeof order.progress = (event) => {
      if (event.kind === 'line' && event.line === 'ready') stop.abort();
    };
    await assert.rejects(buildImage({ ...order, progress }), /was stopped at "run hooks\/20-b.sh"/);
    assert.deepEqual(await readdir(join(made.order.cacheFolder, 'work')), []);
    await made.write('leaf/hooks/20-b.sh', `${HOOK}:\n`);
    assert.deepEqual(await made.build(), from('leaf/hooks/20-b.sh'));
  });

  it('lets a second build wait, and say for whom', async (t) => {
    const made = await shop(t, 'sleep 1');
    const started = Promise.withResolvers<void>();
    const ran: string[] = [];
    const first = buildImage({
      ...made.order,
      progress: (event) => {
        started.resolve();
        if (event.kind === 'started') ran.push(event.step);
      },
    });
    await started.promise;
    const seen: unknown[] = [];
    const second = await buildImage({
      ...made.order,
      progress: (event) => {
        if (event.kind === 'waiting') seen.push(event.owner);
      },
    });
    assert.equal((await first).outcome, 'built');
    assert.equal(ran.length, STEPS.length + 1);
    assert.equal(second.outcome, 'unchanged', 'what the first one built');
    const [owner] = seen as { pid: number; image: string; since: string }[];
    assert.deepEqual([owner?.pid, owner?.image], [process.pid, 'leaf']);
    assert.ok(Date.parse(owner?.since ?? '') <= Date.now());
  });

  it('sees a base that is another file than the recipe says', async (t) => {
    const made = await shop(t);
    await made.write('ground/root.tar.gz', 'no archive');
    await assert.rejects(made.build(), /SHA-256/);
    assert.deepEqual(await readdir(join(made.order.cacheFolder, 'work')), []);
  });

  it('makes of files, users and units what the recipe says, and of file capabilities what NFS can store', async (t) => {
    const made = await workshop(t, 'all');
    const sha256 = await made.addTarball('all');
    await made.write(
      'all/image.yaml',
      `base: {tarball: root.tar.gz, sha256: ${sha256}, arch: amd64}
files: [{path: /etc/secret, owner: www, group: adm, mode: '0640'}, {path: /home/ops/own, owner: ops, group: ops, content: x}]
fstab: [tmpfs /root tmpfs defaults 0 0]
users: [{name: ops, uid: 1234, groups: [adm], shell: /bin/sh, keys: [${KEY}]}, {name: root, keys: [${KEY}]}]
units: {default: own.target, mask: [a.service], targets: {own: {isolate: true}}, wants: {own.target: [b.service]}}
boot: {initramfs: false}
`,
    );
    await made.write('all/rootfs/etc/secret', 's');
    await made.write('all/rootfs/etc/systemd/system/b.service', '[Service]\nExecStart=/bin/true\n');
    await made.write('all/rootfs/usr/local/bin/tool', '#!/bin/sh\n', 0o755);
    const { generation } = await buildImage(made.order);
    const list = await run('unsquashfs', ['-lln', '-d', '', join(generation.folder, 'root.squashfs')]);
    const found = new Map(
      list.split('\n').flatMap((line) => {
        const [, mode = '', owner = '', path = ''] = /^(\S+) +(\S+) .*? \S+ \S+ (\/.*)$/.exec(line) ?? [];
        return path ? [[path, `${mode} ${owner}`] as const] : [];
      }),
    );
    for (const [path, expected] of [
      ['/etc/secret', '-rw-r----- 33/4'],
      ['/home/ops', 'drwx------ 1234/1234'],
      ['/home/ops/own', '-rw-r--r-- 1234/1234'],
      ['/usr/local/bin/tool', '-rwxr-xr-x 0/0'],
      ['/etc/ssh/authorized_keys.d/ops', '-rw-r--r-- 0/0'],
      ['/etc/ssh/authorized_keys.d/root', '-rw-r--r-- 0/0'],
      ['/etc/systemd/system/a.service -> /dev/null', 'lrwxrwxrwx 0/0'],
      ['/etc/systemd/system/own.target.wants/b.service -> /etc/systemd/system/b.service', 'lrwxrwxrwx 0/0'],
      ['/usr/bin/pinging', '-rwsr-xr-x 0/0'],
    ] as const)
      assert.equal(found.get(path), expected, path);
    assert.match(
      await readFile(join(generation.folder, 'build.log'), 'utf8'),
      /usr\/bin\/pinging had cap_net_raw/,
    );
    const read = (path: string) =>
      run('unsquashfs', ['-cat', join(generation.folder, 'root.squashfs'), path]);
    assert.match(await read('etc/passwd'), /^ops:x:1234:1234::\/home\/ops:\/bin\/sh$/m);
    assert.match(await read('etc/shadow'), /^ops:\*:19675:/m, 'the day of the build is that of its base');
    assert.equal(await read('etc/fstab'), 'tmpfs /root tmpfs defaults 0 0');
  });

  it('does not follow a link out of the root', async (t) => {
    const made = await shop(t, 'ln -s /tmp /etc/leads-out');
    await made.write('far/image.yaml', 'base: {from: leaf}\n');
    await made.write('far/rootfs/etc/leads-out/evil', 'x');
    await assert.rejects(
      buildImage({ ...made.order, name: 'far' }),
      /\/etc\/leads-out is a link in the image/,
    );
  });

  it('appends lines to no fstab that is a link out of the root', async (t) => {
    const outside = join(await mkdtemp(join(tmpdir(), 'netboot-outside-')), 'fstab');
    t.after(() => rm(dirname(outside), { recursive: true }));
    await writeFile(outside, 'of the host\n');
    const made = await shop(t, `ln -sf ${outside} /etc/fstab`);
    await made.write('far/image.yaml', 'base: {from: leaf}\nfstab: [tmpfs /root tmpfs defaults 0 0]\n');
    await assert.rejects(buildImage({ ...made.order, name: 'far' }), /\/etc\/fstab is a link in the image/);
    assert.equal(await readFile(outside, 'utf8'), 'of the host\n');
  });

  it('cleans nothing of the host where links lead out of the root', async (t) => {
    const outside = await mkdtemp(join(tmpdir(), 'netboot-outside-'));
    t.after(() => rm(outside, { recursive: true }));
    const made = await shop(
      t,
      `ln -sf ${outside}/id /etc/machine-id; ln -s ${outside} /etc/ssh; mkdir -p /var/cache; ln -s ${outside} /var/cache/debconf`,
    );
    const names = ['config.dat-old', 'id', 'ssh_host_rsa_key'];
    for (const name of names) await writeFile(join(outside, name), 'of the host');
    await made.build();
    assert.deepEqual((await readdir(outside)).toSorted(), names);
    assert.equal(await readFile(join(outside, 'id'), 'utf8'), 'of the host');
  });

  it('says that the disk is full, and leaves what was built', async (t) => {
    const made = await shop(t, 'dd if=/dev/zero of=/etc/large bs=1M count=600');
    await mkdir(made.order.cacheFolder);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=300M', 'tmpfs', made.order.cacheFolder]);
    await using mounted = new AsyncDisposableStack();
    mounted.defer(async () => void (await run('umount', [made.order.cacheFolder])));
    await assert.rejects(made.build(), /at "run hooks\/20-b.sh": the disk is full\. Make room/);
    assert.deepEqual(await readdir(join(made.order.cacheFolder, 'work')), []);
    await made.write('leaf/hooks/20-b.sh', `${HOOK}:\n`);
    assert.deepEqual(await made.build(), from('leaf/hooks/20-b.sh'));
  });
});
