import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { run } from '../../src/host/run.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { boardOf } from '../../src/sim/board.ts';
import { bootInQemu, firmwareCmdline } from '../../src/sim/qemu.ts';
import { createRack, piNamespace, plugIn, removeRack, unplug } from '../../src/sim/rack.ts';
import { tinyKernel } from './tiny-kernel.ts';

const RACK = `qemutest-${process.pid}`;
const board = boardOf({ model: 'pi4', serial: parseSerial('9ffefdef') });

before(() => createRack(run, RACK, { address: '192.168.172.17/24' }));
after(() => removeRack(run, RACK));

/** Starts `kernel` in QEMU as if the firmware had fetched it. */
async function start(
  kernel: Uint8Array,
  { stop = new AbortController(), cmdline = 'root=/dev/nfs', endsOnPanic = true } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'netboot-qemu-test-'));
  const printed: string[] = [];
  const print = (line: string) => {
    printed.push(line);
    if (line === 'stop me') stop.abort();
  };
  try {
    await writeFile(join(folder, 'kernel'), kernel);
    await writeFile(join(folder, 'initramfs'), 'anything');
    await writeFile(join(folder, 'cmdline'), `console=serial0,115200 ${cmdline}`);
    const namespace = await plugIn(run, RACK, board);
    const logFile = join(folder, 'console.log');
    const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]);
    const machine = {
      namespace,
      board,
      folder,
      memoryMiB: 128,
      authorizedKey: 'ssh-ed25519 AAAA a,b',
      endsOnPanic,
    };
    const outcome = await bootInQemu(run, { ...machine, logFile, print, signal });
    return { outcome, printed, log: await readFile(logFile, 'utf8').catch(() => '') };
  } finally {
    await unplug(run, RACK, board.serial);
    await rm(folder, { recursive: true });
  }
}

test('the fetched kernel runs; its console is printed and logged; it ends when the machine is powered off', async () => {
  const { outcome, printed, log } = await start(
    tinyKernel('\x1b[1mhello\x1b[0m\r\nfrom arm64\n', 'power off'),
  );
  assert.deepEqual(outcome, { kind: 'powered-off' });
  assert.deepEqual(printed, ['hello', 'from arm64']);
  assert.equal(log, 'hello\nfrom arm64\n');
});

test('a gzipped kernel runs too', async () => {
  const { outcome, printed } = await start(gzipSync(tinyKernel('unpacked\n', 'power off')));
  assert.deepEqual([outcome.kind, printed], ['powered-off', ['unpacked']]);
});

test('a kernel that panics and hangs has failed', async () => {
  const panic = 'Kernel panic - not syncing: VFS: Unable to mount root fs';
  const { outcome } = await start(tinyKernel(`[    1.0] ${panic}\n`, 'hang'));
  assert.deepEqual(outcome, { kind: 'failed', reason: panic });
});

test('a guest that resets itself is told from one that powers off', async () => {
  const { outcome, printed } = await start(tinyKernel('until now\n', 'reset'), { endsOnPanic: false });
  assert.deepEqual([outcome, printed], [{ kind: 'reset', why: 'it rebooted' }, ['until now']]);
});

test('a kernel that panics with panic=10 resets the machine, and says why it did', async () => {
  const panic = 'Kernel panic - not syncing: VFS: Unable to mount root fs';
  const kernel = tinyKernel(`[    1.0] ${panic}\n`, 'reset');
  const { outcome } = await start(kernel, { endsOnPanic: false, cmdline: 'panic=10 root=/dev/nfs' });
  assert.deepEqual(outcome, { kind: 'reset', why: panic });
});

test('a kernel that panics without panic= hangs until its power is cut, and takes nobody’s time for that', async () => {
  const stop = new AbortController();
  const kernel = tinyKernel('Kernel panic - not syncing: hung\n', 'hang');
  const cpuMs = () => {
    const pid = execFileSync('ip', ['netns', 'pids', piNamespace(RACK, board.serial)])
      .toString()
      .trim();
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10;
  };
  const hanging = start(kernel, { stop, endsOnPanic: false });
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  const before = cpuMs();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const spent = cpuMs() - before;
  stop.abort();
  await assert.rejects(hanging, /was stopped/);
  assert.ok(spent < 200, `it took ${spent} ms of one second`);
});

test('a machine that runs is stopped by the signal', async () => {
  await assert.rejects(start(tinyKernel('stop me\n', 'hang')), /was stopped/);
});

test('a console that waits at a prompt, which ends no line, shows it', async () => {
  const stop = new AbortController();
  await assert.rejects(start(tinyKernel('Debian\nstop me', 'hang'), { stop }), /was stopped/);
  assert.ok(stop.signal.aborted);
});

test('what is no arm64 kernel is not started', async () => {
  const { outcome } = await start(Buffer.from('no kernel'));
  assert.match(outcome.kind === 'failed' ? outcome.reason : '', /no arm64 Image/);
});

test('the command line is the fetched one, with the UART that serial0 stands for', () => {
  assert.equal(
    firmwareCmdline('console=serial0,115200 root=/dev/nfs\n'),
    'console=ttyAMA0,115200 root=/dev/nfs',
  );
});
