import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { run } from '../../src/host/run.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { boardOf } from '../../src/sim/board.ts';
import { bootInQemu, firmwareCmdline } from '../../src/sim/qemu.ts';
import { createRack, plugIn, removeRack, unplug } from '../../src/sim/rack.ts';
import { tinyKernel } from './tiny-kernel.ts';

const RACK = `qemutest-${process.pid}`;
const board = boardOf({ model: 'pi4', serial: parseSerial('9ffefdef') });

before(() => createRack(run, RACK, { address: '192.168.172.17/24' }));
after(() => removeRack(run, RACK));

/** Starts `kernel` in QEMU as if the firmware had fetched it. */
async function start(kernel: Uint8Array, stop = new AbortController()) {
  const folder = await mkdtemp(join(tmpdir(), 'netboot-qemu-test-'));
  const printed: string[] = [];
  const print = (line: string) => {
    printed.push(line);
    if (line === 'stop me') stop.abort();
  };
  try {
    await writeFile(join(folder, 'kernel'), kernel);
    await writeFile(join(folder, 'initramfs'), 'anything');
    await writeFile(join(folder, 'cmdline'), 'console=serial0,115200 root=/dev/nfs');
    const namespace = await plugIn(run, RACK, board);
    const logFile = join(folder, 'console.log');
    const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]);
    const machine = { namespace, board, folder, memoryMiB: 128, authorizedKey: 'ssh-ed25519 AAAA a,b' };
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

test('a machine that runs is stopped by the signal', async () => {
  await assert.rejects(start(tinyKernel('stop me\n', 'hang')), /was stopped/);
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
