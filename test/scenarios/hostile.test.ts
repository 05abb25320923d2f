import assert from 'node:assert/strict';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { execa } from 'execa';
import type { StatusAnswer } from '../../src/api/schemas.ts';
import { Appliance } from '../rack/appliance.ts';
import { Host, startRouter } from '../rack/host.ts';
import type { HostileReport } from '../rack/hostile-client.ts';
import { sealGeneration } from '../rack/sealed.ts';
import { powerOn } from '../rack/simulate.ts';

const OURS = '192.168.172.17';
const SERIAL = 'ab000004';
/** Long enough for the Pi to boot in the midst of it. */
const SECONDS = 10;

/** What must not be served, however it is asked for. FOLDER is the appliance's own, where `secret.txt` lies. */
const REFUSED = [
  '../secret.txt',
  '../../../../../../../../etc/passwd',
  '/../secret.txt',
  'FOLDER/secret.txt',
  '/etc/passwd',
  '//etc//passwd',
  '..\\secret.txt',
  '\\..\\..\\etc\\passwd',
  './.././secret.txt',
  'folder/../../secret.txt',
  `${SERIAL}/../secret.txt`,
  `${SERIAL}/../../state/state.db`,
  `${SERIAL}//..//../manifest.json`,
  `${SERIAL}/overlays/../../manifest.json`,
  `${SERIAL}/overlays`,
  `${SERIAL}/`,
  `${SERIAL}`,
  'link.txt',
  'linked/secret.txt',
  'environ',
  'pipe',
  'folder',
  'public.bin\0../secret.txt',
  '../secret.txt\0public.bin',
  '%2e%2e/secret.txt',
  '..%2fsecret.txt',
  '\xc0\xae\xc0\xae/secret.txt',
  'public.bin\x01',
  '',
  '.',
  '/',
  'x'.repeat(300),
  `${'x/'.repeat(240)}secret.txt`,
  `${'../'.repeat(150)}etc/passwd`,
  '__proto__',
  `${SERIAL}/__proto__`,
  `${SERIAL}/constructor`,
  'ab000099/config.txt',
];

/** Odd ways to write a path that is allowed. */
const SERVED = [
  'public.bin',
  '//public.bin',
  '\\public.bin',
  './public.bin',
  'folder//public.bin',
  'inner.bin',
];

const MODES = [
  {
    mode: 'full',
    settings: 'dhcp: full, pool: 192.168.172.100-192.168.172.150, lease: 1h',
    node: ['--ip', '192.168.172.21'], // the attack may well exhaust the pool
    dhcpDestination: '255.255.255.255',
  },
  { mode: 'proxy', settings: 'dhcp: proxy', node: [], dhcpDestination: OURS },
];

describe('a hostile machine in the rack', { timeout: 120_000 }, () => {
  for (const { mode, settings, node, dhcpDestination } of MODES) {
    it(`neither stops a Pi from booting nor gets at anything, dhcp ${mode}`, async (t) => {
      const appliance = await Appliance.make(`hostile${mode}`, settings, {
        nfs: 'none',
        generations: 'generations',
        settings: ['tftp: { root: FOLDER/plain }'],
      });
      t.after(() => appliance.remove());
      await layOut(appliance.folder);
      const generation = await sealGeneration(`${appliance.folder}/generations`);
      if (mode === 'proxy') {
        const router = await startRouter(appliance);
        t.after(() => router.unplug());
      }
      await appliance.start();
      await appliance.publish(generation);
      await appliance.netboot('add-node', SERIAL, ...node);
      const before = await statusOf(appliance);

      const attacker = await Host.plugIn(appliance, 'attacker', '192.168.172.66/24');
      t.after(() => attacker.unplug());
      const paths = [...REFUSED, ...SERVED].map((path) => path.replace('FOLDER', appliance.folder));
      const seed = process.env.NETBOOT_TEST_SEED ?? String(Date.now() % 2 ** 31);
      t.diagnostic(`NETBOOT_TEST_SEED=${seed}`);
      const args = [OURS, seed, String(SECONDS), dhcpDestination, JSON.stringify(paths)];
      const reports = attack(attacker, args);
      const { answers } = await reports.answers;
      const boot = await powerOn(appliance, 'pi4', '--serial', SERIAL);
      const isFlooding = await Promise.race([reports.sent, undefined]).then((report) => report === undefined);
      const { sent } = await reports.sent;

      assert.ok(isFlooding, 'the Pi booted in the midst of it');
      assert.ok(boot.isKernelServed, boot.transcript);
      for (const path of paths) {
        const answer = answers[path];
        if (SERVED.includes(path)) assert.match(answer?.served ?? '', /^PUBLIC/, JSON.stringify(path));
        else assert.equal(answer?.served, undefined, `${JSON.stringify(path)} was served`);
      }
      const now = await statusOf(appliance);
      assert.equal(now.pid, before.pid);
      assert.equal(now.pid, appliance.pid);
      const { dhcp, tftp } = now.counters;
      assert.ok(sent.dhcp > 2_000 && sent.tftp > 2_000 && sent.transfer > 2_000);
      assert.ok(counted(dhcp, 'malformed') > 200);
      assert.ok(counted(tftp, 'malformed') > 200);
      for (const name of ['strangers', 'refused', 'missed']) assert.ok(counted(tftp, name) > 0, name);
      assert.equal(dhcp.internalError, 0);
      assert.ok(now.memoryBytes < 200 * 2 ** 20, `${now.memoryBytes} bytes of memory`);
      const grown = Math.round((now.memoryBytes - before.memoryBytes) / 2 ** 20);
      t.diagnostic(
        `${boot.verbs}; ${JSON.stringify(sent)}; memory grew by ${grown} MiB; ${JSON.stringify(now.counters)}`,
      );
      assert.doesNotMatch(await appliance.log(), /"level":"fatal"|UnhandledPromise|Error: .*\n +at /);
    });
  }
});

function counted(counters: Readonly<Record<string, number>>, name: string): number {
  return counters[name] ?? assert.fail(`nothing counts ${name}`);
}

/** Sets the attacker on; what it reports, as it comes. */
function attack(attacker: Host, args: readonly string[]) {
  const answers = Promise.withResolvers<Extract<HostileReport, { answers: unknown }>>();
  const sent = Promise.withResolvers<Extract<HostileReport, { sent: unknown }>>();
  const child = attacker.startScript('hostile-client.ts', args, (line) => {
    const report = JSON.parse(line) as HostileReport;
    if ('answers' in report) answers.resolve(report);
    else sent.resolve(report);
  });
  child.once('close', (code) => {
    for (const { reject } of [answers, sent]) reject(new Error(`the attacker ended with ${code}`));
  });
  return { answers: answers.promise, sent: sent.promise };
}

async function statusOf(appliance: Appliance): Promise<StatusAnswer> {
  return JSON.parse(await appliance.netboot('status', '--json')) as StatusAnswer;
}

/** `tftp.root` with what may be had, and every kind of thing in it that leads out or is no file. */
async function layOut(folder: string): Promise<void> {
  await writeFile(`${folder}/secret.txt`, 'SECRET\n');
  await mkdir(`${folder}/plain/folder`, { recursive: true });
  await writeFile(`${folder}/plain/public.bin`, 'PUBLIC\n'.repeat(40_000));
  await writeFile(`${folder}/plain/folder/public.bin`, 'PUBLIC\n');
  await symlink('folder/public.bin', `${folder}/plain/inner.bin`);
  await symlink('../secret.txt', `${folder}/plain/link.txt`);
  await symlink('..', `${folder}/plain/linked`);
  await symlink('/proc/self/environ', `${folder}/plain/environ`);
  await execa('mkfifo', [`${folder}/plain/pipe`]);
}
