import type { Board } from './board.ts';
import { BootFiles } from './boot-files.ts';
import type { BootConfig } from './config-txt.ts';
import { eepromPersonality } from './dhcp-personality.ts';
import { runStartElf, startNames } from './firmware-start-elf.ts';
import { isSet, readConfig } from './os-loader.ts';
import { withRamdisk } from './ramdisk.ts';
import { eepromDialect } from './tftp-dialects.ts';
import { FirmwareFailure, type Handover, type Wire } from './wire.ts';

/** A Pi 4B in network mode: the SPI EEPROM fetches start4.elf, which fetches the rest. */
export async function bootPi4(wire: Wire, board: Board, xid: number): Promise<Handover> {
  wire.report({ kind: 'stage', name: `EEPROM boot loader ${board.eepromDate}` });
  const lease = await wire.lease(eepromPersonality(board, xid));
  const dialect = eepromDialect(board, 'EEPROM');
  const tree = await resolvePrefix(new BootFiles(wire, lease.tftpServer, dialect, `${board.serial}/`));
  const loose = await readConfig(tree, board);
  const disk = await withRamdisk(wire, tree, loose);
  const files = disk === wire ? tree : new BootFiles(disk, tree.server, dialect, '');
  const config = disk === wire ? loose : await readConfig(files, board);
  await loadFirmware(files, config, board, wire);

  wire.report({ kind: 'stage', name: 'start4.elf' });
  const startFiles = new BootFiles(disk, files.server, eepromDialect(board, 'start4.elf'), files.prefix);
  return runStartElf(startFiles, board);
}

/** Without start4.elf or start.elf below the serial, everything is asked for at the root (TFTP_PREFIX, eeprom-bootloader.adoc). */
async function resolvePrefix(files: BootFiles): Promise<BootFiles> {
  if ((await files.probe('start4.elf')) || (await files.probe('start.elf'))) return files;
  return files.below('');
}

async function loadFirmware(
  files: BootFiles,
  config: BootConfig | undefined,
  board: Board,
  wire: Wire,
): Promise<void> {
  if (!config || isSet(config, 'bootloader_update', true)) {
    if (await files.read('vl805.sig')) await files.probeAndRead('vl805.bin');
    await noteUpdate(files, wire);
  }
  await files.expectMiss('recover4.elf', 'the Pi starts that in place of start4.elf');
  await files.expectMiss('recovery.elf', 'the Pi starts that in place of start4.elf');
  const { start, fixup } = config ? startNames(config, board) : { start: 'start4.elf', fixup: 'fixup4.dat' };
  if (!(await files.read(start)) && !(await files.read('start.elf')))
    throw new FirmwareFailure(
      `no ${start}, neither below ${board.serial}/ nor at the root of the TFTP server: the boot loader goes on to the next boot mode`,
    );
  if (!(await files.read(fixup)))
    wire.report({ kind: 'note', text: `without ${fixup} the Pi has only part of its memory` });
}

/** pieeprom.upd is flashed when it is newer than the EEPROM (ENABLE_SELF_UPDATE); a virtual Pi has nothing to flash. */
export async function noteUpdate(files: BootFiles, wire: Wire): Promise<void> {
  if (!(await files.read('pieeprom.sig'))) return;
  if (await files.probeAndRead('pieeprom.upd'))
    wire.report({
      kind: 'note',
      text: 'a real Pi would now write pieeprom.upd to its EEPROM if it is newer',
    });
}
