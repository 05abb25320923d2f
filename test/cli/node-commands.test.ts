import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import Fastify, { type FastifyInstance } from 'fastify';
import { addNodeRoutes } from '../../src/api/node-routes.ts';
import { installProblems } from '../../src/api/problems.ts';
import { addProfileRoutes } from '../../src/api/profile-routes.ts';
import type { NodeStatus } from '../../src/api/schemas.ts';
import type { Fleet } from '../../src/fleet/fleet.ts';
import { openSmallFleet, sealed } from '../fleet/small-fleet.ts';

const NETBOOT = join(import.meta.dirname, '../../scripts/netboot');

/** The command line as a process of its own, and the API it talks to. */
describe('the commands for nodes and profiles', () => {
  let folder: string;
  let config: string;
  let api: FastifyInstance;
  let fleet: Fleet;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'netboot-nodes-'));
    config = join(folder, 'netboot.yaml');
    await writeFile(config, `interfaces: { eth0: { dhcp: proxy } }\napi: { socket: ${folder}/api.sock }\n`);
    fleet = await openSmallFleet({
      config: 'power: { poe: { cycle: [/bin/true] } }\n',
      generations: [sealed('web-000000000001', { node: { nfs: 4 } })],
    });
    await fleet.publish('web', 'web-000000000001');
    api = Fastify();
    installProblems(api);
    addNodeRoutes(api, fleet, (reference) => reference);
    addProfileRoutes(api, fleet);
    await api.listen({ path: join(folder, 'api.sock') });
    await writeFile(join(folder, 'key'), 'the secret');
    await writeFile(join(folder, 'large'), Buffer.alloc(65_537));
  });

  after(async () => {
    await api?.close();
    await rm(folder, { recursive: true });
  });

  const netboot = async (...args: string[]) =>
    promisify(execFile)(NETBOOT, ['--config', config, ...args]).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );

  it('set a profile, and a node over it, and say who says what', async () => {
    const key = `/etc/app/key=${folder}/key,mode=0640,group=app`;
    const made = await netboot('set-profile', 'rack', '--image', 'web', '--root', 'overlay', '--file', key);
    assert.deepEqual([made.stderr, made.stdout], ['', 'made profile rack of 0 nodes\n']);
    const added = await netboot(
      'add-node',
      '00000001',
      '--name',
      'one',
      '--profile',
      'rack',
      '--block',
      '4G:/srv/c',
    );
    assert.equal(added.stdout, 'added node one (00000001): image web\n');
    const own = [
      '--memory',
      '64M',
      '--power',
      'poe',
      '--outlet',
      '10.0.0.9:3',
      '--file',
      `/etc/own=${folder}/key`,
    ];
    assert.equal((await netboot('set-node', 'one', ...own)).stderr, '');

    const { stdout } = await netboot('show-node', 'one');
    for (const line of [
      /^image +web {2}\(profile rack\)$/m,
      /^root +overlay {2}\(profile rack\)$/m,
      /^memory +64M {2}\(node\)$/m,
      /^nfs +4 {2}\(image\)$/m,
      /^block +4G:\/srv\/c {2}\(node\)$/m,
      /^outlet +10\.0\.0\.9:3 {2}\(node\)$/m,
      /^FILE +MODE +OWNER +BYTES +SHA-256 +FROM$/m,
      /^\/etc\/app\/key +0640 +root:app +10 +[0-9a-f]{64} +profile rack$/m,
      /^\/etc\/own +0600 +root:root +10 +[0-9a-f]{64} +node$/m,
    ]) {
      assert.match(stdout, line);
    }
    assert.doesNotMatch(stdout, /secret/);
    const shown = JSON.parse((await netboot('show-node', 'one', '--json')).stdout) as NodeStatus;
    assert.equal(shown.origins?.image, 'profile rack');
    assert.deepEqual(
      shown.files?.map(({ path }) => path),
      ['/etc/app/key', '/etc/own'],
    );
    const content = Buffer.from(fleet.filesOf(fleet.find('one'))[1]?.content ?? '', 'base64').toString();
    assert.equal(content, 'the secret');
  });

  it('take away what is empty', async () => {
    const args = ['--memory=', '--block=', '--nfs=', '--file', '/etc/own='];
    assert.equal((await netboot('set-node', 'one', ...args)).stderr, '');
    const { settings } = fleet.nodes.settled('one');
    assert.deepEqual([settings.memory, settings.block, settings.nfs], ['50%', undefined, 4]);
    assert.deepEqual(
      fleet.filesOf(fleet.find('one')).map(({ path }) => path),
      ['/etc/app/key'],
    );
  });

  it('list, show and remove profiles', async () => {
    const list = await netboot('profiles');
    assert.match(list.stdout, /^rack +1 +1 +image=web root=overlay$/m);
    const shown = await netboot('show-profile', 'rack');
    assert.match(shown.stdout, /^nodes +one$/m);
    assert.match(shown.stdout, /^\/etc\/app\/key +0640 +root:app +10 +[0-9a-f]{64}$/m);
    const refused = await netboot('remove-profile', 'rack');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^netboot: Profile "rack" is that of one\. Give them another one first/);
    await netboot('set-node', 'one', '--profile=', '--image', 'web');
    assert.equal((await netboot('remove-profile', 'rack')).stdout, 'removed profile rack\n');
    assert.deepEqual(JSON.parse((await netboot('profiles', '--json')).stdout), { profiles: [] });
  });

  it('print what the service answers, for scripts', async () => {
    const json = async (...args: string[]) => JSON.parse((await netboot(...args, '--json')).stdout);
    const { node } = await json('add-node', '00000002', '--image', 'web');
    assert.deepEqual([node.serial, node.name, node.image], ['00000002', 'pi-00000002', 'web']);
    assert.equal((await json('set-node', '00000002', '--name', 'two')).node.name, 'two');
    assert.equal((await json('remove-node', 'two')).node.serial, '00000002');
    assert.throws(() => fleet.find('two'), /There is no node "two"/);
  });

  it('take an empty value for none: the default name, and no settings of what is new', async () => {
    const run = async (...args: string[]) => {
      const { stdout, stderr } = await netboot(...args);
      assert.equal(stderr, '', args.join(' '));
      return stdout;
    };
    await run('add-node', '00000003', '--name=', '--image', 'web', '--block=', '--nfs=', '--role=');
    assert.equal(fleet.find('00000003').name, 'pi-00000003');
    await run('set-node', '00000003', '--name', 'three');
    assert.match(await run('set-node', 'three', '--name='), /^changed node pi-00000003 \(00000003\)/);
    await run('add-node', '52:54:00:00:00:04', '--image', 'web');
    await run('set-node', '00000004', '--name', 'four');
    assert.match(await run('set-node', 'four', '--name='), /^changed node node-00000004 /);
    assert.match(await run('set-node', '00000004', '--role', 'none'), /\): image web; it takes/);
    for (const serial of ['00000003', '00000004']) await run('remove-node', serial);
  });

  it('remove a node that may be writing to its disk when that is wanted', async () => {
    await netboot('add-node', '00000005', '--image', 'web', '--root', 'private');
    fleet.conditions.asked('00000005' as never);
    const { code, stderr } = await netboot('remove-node', '00000005');
    assert.deepEqual([code, stderr.includes('netboot remove-node 00000005 --force')], [1, true], stderr);
    assert.equal((await netboot('remove-node', '00000005', '--force')).code, 0);
  });

  for (const [args, hint] of [
    [['nothing'], 'netboot help'],
    [['set-node'], 'netboot help set-node'],
    [['nodes', '--bad'], 'netboot help nodes'],
    [['sim', 'pi4'], 'netboot sim help pi4'],
    [['rollout', 'web', '--canary', 'x'], 'netboot rollout help start'],
  ] as const) {
    it(`are explained to who used them wrongly: ${args.join(' ')}`, async () => {
      const { code, stderr } = await netboot(...args);
      assert.equal(code, 2);
      assert.ok(stderr.endsWith(`See "${hint}".\n`), stderr);
      const [, ...words] = hint.split(' ');
      assert.match((await netboot(...words)).stdout, /^Usage: netboot /);
    });
  }

  it('take a file from a pipe, as a secret comes that lies nowhere', async () => {
    const command = `printf 'piped' | '${NETBOOT}' --config '${config}' set-node one --file /etc/piped=/dev/stdin`;
    await promisify(execFile)('/bin/sh', ['-c', command]);
    const piped = fleet.filesOf(fleet.find('one')).find(({ path }) => path === '/etc/piped');
    assert.equal(piped?.content, Buffer.from('piped').toString('base64'));
  });

  const wrong: ReadonlyArray<{ args: (folder: string) => string[]; code: number; expect: RegExp }> = [
    {
      args: () => ['--file', '/etc/x=/nowhere'],
      code: 1,
      expect: /"\/nowhere" cannot be read: ENOENT\. Name one/,
    },
    { args: (at) => ['--file', `/etc/x=${at}`], code: 1, expect: /cannot be read: EISDIR/ },
    { args: (at) => ['--file', `/etc/x=${at}/large`], code: 1, expect: /large" has more than 64 KiB/ },
    {
      args: () => ['--file', '/etc/x'],
      code: 1,
      expect: /"--file \/etc\/x" is not understood\. Write it as/,
    },
    { args: (at) => ['--file', `etc/x=${at}/key`], code: 1, expect: /is not understood/ },
    { args: (at) => ['--file', `/etc/x=${at}/key,mode=7`], code: 1, expect: /mode: write the mode as 0600/ },
    {
      args: (at) => ['--file', `/etc/x=${at}/key,owner=1000`],
      code: 1,
      expect: /owner: write a name that the node knows, as www-data; numbers are not taken/,
    },
    { args: () => ['--file', '/etc/x=,mode=0600'], code: 1, expect: /is not understood/ },
    { args: (at) => ['--file', `/x=${at}/key`, '--file', '/x='], code: 1, expect: /given twice/ },
    { args: () => ['--block', '4'], code: 1, expect: /"--block 4" is not understood: write a size/ },
    { args: () => ['--block', '4G:x'], code: 1, expect: /write an absolute path/ },
    {
      args: () => ['--root', 'rw'],
      code: 2,
      expect: /Write readonly, overlay, private, or nothing to take it away\.$/m,
    },
    { args: () => ['--nfs', '5'], code: 2, expect: /Write 3, 4, or nothing to take it away\.$/m },
    { args: () => ['--power', 'plug'], code: 1, expect: /no power template "plug"\. There are: poe/ },
    {
      args: () => ['--profile', 'none'],
      code: 1,
      expect: /no profile "none"\. Make it with: netboot set-profile/,
    },
  ];
  it('refuse what cannot be, naming it and the remedy', async () => {
    const before = fleet.view().revision;
    for (const { args, code, expect } of wrong) {
      const answer = await netboot('set-node', 'one', ...args(folder));
      assert.deepEqual([answer.code, answer.stdout], [code, ''], answer.stderr);
      assert.match(answer.stderr, expect);
      assert.doesNotMatch(answer.stderr, /^ {4}at /m, 'no stack');
    }
    assert.equal(fleet.view().revision, before);
  });
});
