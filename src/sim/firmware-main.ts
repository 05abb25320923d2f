import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { run } from '../host/run.ts';
import { bootBoard } from './firmware.ts';
import {
  type FirmwareLine,
  type FirmwareOrder,
  type FirmwareOutcome,
  fetchedFiles,
} from './firmware-process.ts';
import { FirmwareWire } from './firmware-wire.ts';
import { LiveLink } from './live-link.ts';
import { FirmwareFailure, type Handover } from './wire.ts';

/** The process in the Pi's namespace: one boot from power-on to the handover, told on stdout line by line. */

const order = JSON.parse(process.argv[2] ?? '') as FirmwareOrder;
const { board, timeScale } = order;
const wire = new FirmwareWire(new LiveLink(run), { timeScale, report: (event) => say({ event }) });
try {
  const handover = await bootBoard(wire, board, randomInt(2 ** 32));
  say({ outcome: await keep(handover, order.folder) });
} catch (error) {
  if (!(error instanceof FirmwareFailure)) throw error;
  say({ outcome: { kind: 'failed', reason: error.message } });
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
