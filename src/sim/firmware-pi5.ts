import type { Board } from './board.ts';
import { BootFiles } from './boot-files.ts';
import { eepromPersonality } from './dhcp-personality.ts';
import { noteUpdate } from './firmware-pi4.ts';
import {
  deviceTreeNames,
  initramfsNames,
  isSet,
  loadCmdline,
  loadDeviceTree,
  loadInitramfs,
  loadKernel,
  loadOverlays,
  osPrefixed,
  readConfig,
} from './os-loader.ts';
import { withRamdisk } from './ramdisk.ts';
import { eepromDialect } from './tftp-dialects.ts';
import { FirmwareFailure, type Handover, type Wire } from './wire.ts';

/** A Pi 5 in network mode: the EEPROM holds the whole firmware, no start*.elf is ever asked for. */
export async function bootPi5(wire: Wire, board: Board, xid: number): Promise<Handover> {
  wire.report({ kind: 'stage', name: `EEPROM boot loader ${board.eepromDate}` });
  const lease = await wire.lease(eepromPersonality(board, xid));
  const dialect = eepromDialect(board, 'EEPROM');
  const tree = await resolvePrefix(new BootFiles(wire, lease.tftpServer, dialect, `${board.serial}/`), board);
  const loose = await readConfig(tree, board);
  const disk = await withRamdisk(wire, tree, loose);
  const files = disk === wire ? tree : new BootFiles(disk, tree.server, dialect, '');
  const early = disk === wire ? loose : await readConfig(files, board);
  if (!early || isSet(early, 'bootloader_update', true)) await noteUpdate(files, wire);

  wire.report({ kind: 'stage', name: 'OS loader' });
  // The OS loader joins prefix and name with a slash of its own: "bd989ae1//config.txt" (raspberrypi/rpi-eeprom#687).
  const prefix = files.prefix === '' ? '' : `${files.prefix}/`;
  return loadOs(new BootFiles(disk, files.server, eepromDialect(board, 'OS loader'), prefix), board);
}

/** Which prefix it is, config.txt decides (raspberrypi/rpi-eeprom#881); it has to be there on a Pi 5. */
async function resolvePrefix(files: BootFiles, board: Board): Promise<BootFiles> {
  if (await files.probe('config.txt')) return files;
  const root = files.below('');
  if (await root.probe('config.txt')) return root;
  throw new FirmwareFailure(
    `no config.txt, neither below ${board.serial}/ nor at the root of the TFTP server: a Pi 5 takes that for not bootable`,
  );
}

/** Order after the log fragments of raspberrypi/rpi-eeprom#687 and #826; newer builds vary it. */
async function loadOs(files: BootFiles, board: Board): Promise<Handover> {
  await files.probe('config.txt');
  const config = await readConfig(files, board);
  if (!config) throw new FirmwareFailure('config.txt was there for the boot loader and then was not');
  const path = await osPrefixed(files, config, board);
  const isChecked = isSet(config, 'os_check', true);
  const deviceTree =
    isChecked || (await files.probe(path(deviceTreeNames(config, board)[0] as string)))
      ? await loadDeviceTree(files, config, board, path)
      : '';
  await loadOverlays(files, config, path);
  const cmdline = await loadCmdline(files, config, path);
  const kernel = await loadKernel(files, config, board, path);
  const initramfs = await loadInitramfs(files, initramfsNames(config, kernel.name), path);
  await files.probe(config.settings.get('armstub') ?? 'armstub8-2712.bin');
  return { kernel, ...(initramfs ? { initramfs } : {}), cmdline, deviceTree };
}
