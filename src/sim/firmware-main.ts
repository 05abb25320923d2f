import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { run } from '../host/run.ts';
import type { Board } from './board.ts';
import { bootPi3 } from './firmware-pi3.ts';
import { bootPi4 } from './firmware-pi4.ts';
import { bootPi5 } from './firmware-pi5.ts';
import {
  type FirmwareLine,
  type FirmwareOrder,
  type FirmwareOutcome,
  fetchedFiles,
} from './firmware-process.ts';
import { LiveWire } from './live-wire.ts';
import { FirmwareFailure, type Handover, type Wire } from './wire.ts';

/** The process in the Pi's namespace: one boot from power-on to the handover, told on stdout line by line. */

const order = JSON.parse(process.argv[2] ?? '') as FirmwareOrder;
const wire = new LiveWire({ run, timeScale: order.timeScale, report: (event) => say({ event }) });
try {
  const handover = await boot(wire, order.board);
  say({ outcome: await keep(handover, order.folder) });
} catch (error) {
  if (!(error instanceof FirmwareFailure)) throw error;
  say({ outcome: { kind: 'failed', reason: error.message } });
}

function boot(wire: Wire, board: Board): Promise<Handover> {
  switch (board.model) {
    case 'pi3':
      return bootPi3(wire, board);
    case 'pi4':
      return bootPi4(wire, board, randomInt(2 ** 32));
    case 'pi5':
      return bootPi5(wire, board, randomInt(2 ** 32));
  }
}

async function keep(handover: Handover, folder: string): Promise<FirmwareOutcome> {
  const { kernel, initramfs, cmdline } = handover;
  const files = fetchedFiles(folder);
  await writeFile(files.kernel, kernel.bytes);
  if (initramfs) await writeFile(files.initramfs, initramfs.bytes);
  await writeFile(files.cmdline, cmdline);
  return {
    kind: 'handover',
    kernel: kernel.name,
    ...(initramfs ? { initramfs: initramfs.name } : {}),
    cmdline,
  };
}

function say(line: FirmwareLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
