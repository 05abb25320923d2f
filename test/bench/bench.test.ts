import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { TftpLoad } from '../../bench/tftp-load.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const folder = await mkdtemp(join(tmpdir(), 'netboot-bench-test-'));
after(() => rm(folder, { recursive: true }));

/** Says nothing of speed: the machine may be doing anything beside. */
describe('the bench', () => {
  it('measures every server and writes its tables', { timeout: 300_000 }, async () => {
    const output = join(folder, 'results.md');
    await execa(join(REPOSITORY, 'scripts/bench.sh'), ['--quick', '--output', output]);
    const results = await readFile(output, 'utf8');
    for (const title of ['Goals, TFTP', 'TFTP, windows', 'Goals, DHCP'])
      assert.match(results, new RegExp(`^## ${title}$`, 'm'));
    assert.match(results, /^0 wrong bytes, 0 failed transfers\.$/m);
    assert.match(
      results,
      /^\| Storm: 6 Pis on a bad wire, 0 failed boots \| 0 in 1 storms \| \*\*no\*\* \|$/m,
    );
    for (const name of ['netboot', 'dnsmasq', 'tftpd-hpa', 'Kea']) assert.match(results, new RegExp(name));
    const netboot = results.match(/^\| \d+ leases, 500\/s asked: netboot \| (\d+) \|/gm) ?? [];
    assert.equal(netboot.length, 2, 'few leases and many');
    for (const row of netboot) assert.doesNotMatch(row, /\| 0 \|$/);
    assert.doesNotMatch(results, /NaN|undefined|Infinity/);
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const)
    it(`leaves no server behind when it gets ${signal}`, { timeout: 60_000 }, async () => {
      const bench = execa(join(REPOSITORY, 'scripts/bench.sh'), ['--only', 'tftp'], { reject: false });
      const server = await descendant(bench.pid as number, 'netboot.yaml serve');
      bench.kill(signal);
      await bench;
      for (let tries = 0; tries < 50 && isAlive(server.pid); tries++) await sleep(100);
      assert.equal(isAlive(server.pid), false, 'the service is still running');
      await rm(server.folder, { recursive: true, force: signal === 'SIGTERM' });
    });
});

describe('the TFTP load generator', () => {
  it('sees a wrong byte', { timeout: 60_000 }, async () => {
    const right = Buffer.alloc(100_000, 'right');
    const wrong = Buffer.from(right);
    wrong[77_777] = 0;
    await writeFile(join(folder, 'file'), right);
    await writeFile(join(folder, 'right'), right);
    await writeFile(join(folder, 'wrong'), wrong);
    const script = `
      mkdir -p /run/netns; mount -t tmpfs netns /run/netns; ip netns add load
      ip link add net0 type veth peer name net0 netns load
      ip address add 10.99.0.1/16 dev net0; ip link set net0 up; ip -n load link set net0 up
      dnsmasq --conf-file=/dev/null --port=0 --enable-tftp --tftp-root=${folder} --user=root --pid-file
      for expected in right wrong; do
        ip netns exec load ${process.execPath} ${REPOSITORY}/bench/tftp-load.ts --interface net0 --server 10.99.0.1 \\
          --file file --expect ${folder}/$expected --clients 3 --transfers 6 || true
      done`;
    const unshare = '--net --mount --pid --fork --kill-child --mount-proc sh -c'.split(' ');
    const { stdout } = await execa('unshare', [...unshare, script]);
    const [good, bad] = stdout.split('\n').map((line) => JSON.parse(line) as TftpLoad);
    assert.deepEqual([good?.transfers, good?.failures, good?.wrongBytes], [6, 0, 0]);
    assert.equal(good?.bytes, 600_000);
    assert.deepEqual([bad?.transfers, bad?.failures], [0, 6]);
    assert.match(Object.keys(bad?.reasons ?? {}).join(), /^wrong bytes in block 53$/);
  });
});

/** The process of this bench whose command line holds the text, and the folder it names. */
async function descendant(bench: number, text: string): Promise<{ pid: number; folder: string }> {
  for (let tries = 0; tries < 200; tries++, await sleep(100)) {
    const { stdout } = await execa('ps', ['-eo', 'pid=,ppid=,args=']);
    const all = stdout.split('\n').map((line) => /^ *(\d+) +(\d+) (.*)$/.exec(line) ?? []);
    const family = new Set([String(bench)]);
    for (const [, pid = '', parent = ''] of all) if (family.has(parent)) family.add(pid);
    const [, pid, , args = ''] =
      all.find(([, id = '', , line]) => family.has(id) && line?.includes(text)) ?? [];
    const folder = /\S+netboot-bench\.\w+/.exec(args)?.[0];
    if (pid && folder) return { pid: Number(pid), folder };
  }
  throw new Error(`the bench started no "${text}"`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
