import type { Board } from './board.ts';
import { BootFiles } from './boot-files.ts';
import { bootcodePersonality, romPersonality } from './dhcp-personality.ts';
import { runStartElf, startNames } from './firmware-start-elf.ts';
import { readConfig } from './os-loader.ts';
import { legacyDialect, ROM } from './tftp-dialects.ts';
import { FirmwareFailure, type Handover, type Wire } from './wire.ts';

/** A Pi 3B or 3B+ without a card: the mask ROM fetches bootcode.bin, that start.elf, that the rest. */
export async function bootPi3(wire: Wire, board: Board): Promise<Handover> {
  await runRom(wire, board);
  return bootPi3FromCard(wire, board);
}

/**
 * A Pi of the first three models with nothing but bootcode.bin on its card, as the vendor advises against the bugs of
 * the 3B's ROM (boot-net.adoc): the first file it asks for is start.elf.
 */
export async function bootPi3FromCard(wire: Wire, board: Board): Promise<Handover> {
  const files = await runBootcode(wire, board);
  wire.report({ kind: 'stage', name: 'start.elf' });
  return runStartElf(new BootFiles(wire, files.server, legacyDialect('start.elf'), files.prefix), board);
}

/** The ROM knows one name and no prefix; option 67 and `file` mean nothing to it (raspberrypi/firmware#1370). */
async function runRom(wire: Wire, board: Board): Promise<void> {
  wire.report({ kind: 'stage', name: `${board.variant} boot ROM` });
  const lease = await wire.lease(romPersonality(board));
  const files = new BootFiles(wire, lease.tftpServer, ROM, '');
  if (!(await files.read('bootcode.bin')))
    throw new FirmwareFailure(
      `no bootcode.bin from ${files.server} (${files.answerTo('bootcode.bin')}): the boot ROM asks for it at the root of the TFTP server, without the serial number`,
    );
  // Has to be answered with an error, or the ROM waits for it (boot-net.adoc).
  const signature = await wire.fetch(files.server, 'bootsig.bin', ROM, 'probe');
  if (signature.kind === 'silent')
    throw new FirmwareFailure(
      'bootsig.bin was not answered: the boot ROM needs an error to go on without it (boot-net.adoc)',
    );
}

/** bootcode.bin starts anew with DHCP (raspberrypi/firmware#1362), finds out its prefix and loads start.elf. */
async function runBootcode(wire: Wire, board: Board): Promise<BootFiles> {
  wire.report({ kind: 'stage', name: 'bootcode.bin' });
  const lease = await wire.lease(bootcodePersonality(board));
  const own = new BootFiles(wire, lease.tftpServer, legacyDialect('bootcode.bin'), `${board.serial}/`);
  const files = (await own.probe('start.elf')) ? own : own.below('');
  if (files.prefix !== '') await files.probe('start.elf');
  await files.probe('autoboot.txt');
  const config = await readConfig(files, board);
  await files.expectMiss('recovery.elf', 'the Pi starts that in place of start.elf');
  const { start, fixup } = config ? startNames(config, board) : { start: 'start.elf', fixup: 'fixup.dat' };
  if (!(await files.read(start)))
    throw new FirmwareFailure(
      `no ${start} (${files.answerTo(start)}), neither below ${board.serial}/ nor at the root of the TFTP server`,
    );
  if (!(await files.read(fixup)))
    wire.report({
      kind: 'note',
      text: `without ${fixup} the Pi has only 128 MB (raspberrypi/firmware#1041)`,
    });
  return files;
}
