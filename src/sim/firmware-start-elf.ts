import type { Board } from './board.ts';
import type { BootFiles } from './boot-files.ts';
import type { BootConfig } from './config-txt.ts';
import {
  firstProbed,
  initramfsNames,
  is64Bit,
  kernelNames,
  loadCmdline,
  loadDeviceTree,
  loadInitramfs,
  loadKernel,
  loadOverlays,
  osPrefixed,
  readConfig,
} from './os-loader.ts';
import { FirmwareFailure, type Handover } from './wire.ts';

/** start.elf, start4.elf and their fixup: three settings choose others (config_txt documentation). */
export function startNames(config: BootConfig, board: Board): { start: string; fixup: string } {
  const four = board.model === 'pi4' ? '4' : '';
  const isOn = (key: string) => config.settings.get(key) === '1';
  const kind = isOn('start_x')
    ? 'x'
    : isOn('start_debug')
      ? 'db'
      : config.settings.get('gpu_mem') === '16'
        ? 'cd'
        : '';
  return {
    start: config.settings.get('start_file') ?? `start${four}${kind}.elf`,
    fixup: config.settings.get('fixup_file') ?? `fixup${four}${kind}.dat`,
  };
}

/**
 * The second half of a Pi 3's or Pi 4's boot, run by the fetched start.elf or start4.elf. The order is that of the
 * tftpd-hpa log of PexMor/raspi-netboot (Pi 3B+) and of the piPXE boot log (Pi 4).
 */
export async function runStartElf(files: BootFiles, board: Board): Promise<Handover> {
  const recovery = () => files.expectMiss('recovery.elf', 'the Pi starts that in place of the OS');
  await recovery();
  await config();
  await files.probe('dt-blob.bin');
  await recovery();
  const settings = await config();
  await files.probe('bootcfg.txt');

  const path = await osPrefixed(files, settings, board);
  const kernelName = kernelNames(settings, board)[0] as string;
  const initramfs = await loadInitramfs(files, initramfsNames(settings, kernelName), path);
  const deviceTree = await loadDeviceTree(files, settings, board, path);
  await loadOverlays(files, settings, path);
  await config();
  const cmdline = await loadCmdline(files, settings, path);
  const bits = is64Bit(settings, board) ? '8' : board.model === 'pi4' ? '7l' : '7';
  await files.expectMiss(`recovery${bits}.img`, 'the Pi starts that in place of the kernel');
  const armstub =
    settings.settings.get('armstub') ?? `armstub${bits}${board.model === 'pi4' ? '-gic' : ''}.bin`;
  if (board.model === 'pi3') {
    const found = await firstProbed(files, kernelNames(settings, board), path);
    if (found) await files.probe(path(found));
    await files.probe(armstub);
  }
  const kernel = await loadKernel(files, settings, board, path);
  if (board.model === 'pi4') await files.probe(armstub);
  return { kernel, ...(initramfs ? { initramfs } : {}), cmdline, deviceTree };

  async function config(): Promise<BootConfig> {
    await files.probe('config.txt');
    const found = await readConfig(files, board);
    if (!found) throw new FirmwareFailure('no config.txt: the firmware does not know which kernel to start');
    return found;
  }
}
