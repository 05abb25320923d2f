import type { BootFiles } from './boot-files.ts';
import type { BootConfig } from './config-txt.ts';
import { FatImage } from './fat-image.ts';
import { isSet } from './os-loader.ts';
import { FirmwareFailure, type Wire } from './wire.ts';

/**
 * `boot_ramdisk=1` in the config.txt of these files: from then on every file, another config.txt first, is read from boot.img
 * (config_txt/boot.adoc).
 * @returns a wire whose files are those of boot.img; the one given, when config.txt does not say so.
 * @throws FirmwareFailure without a boot.img that can be read.
 */
export async function withRamdisk(
  wire: Wire,
  files: BootFiles,
  config: BootConfig | undefined,
): Promise<Wire> {
  if (!config || !isSet(config, 'boot_ramdisk', false)) return wire;
  const bytes = await files.read('boot.img');
  if (!bytes) throw new FirmwareFailure('config.txt says boot_ramdisk=1, and there is no boot.img');
  const image = openImage(bytes);
  wire.report({ kind: 'stage', name: 'boot.img' });
  return {
    lease: (personality) => wire.lease(personality),
    report: (event) => wire.report(event),
    fetch: async (_server, path, _dialect, purpose) => {
      const found = image.read(path);
      if (!found) return { kind: 'missing', answer: 'not in boot.img' };
      return purpose === 'probe'
        ? { kind: 'probed', size: found.length, answer: 'in boot.img' }
        : { kind: 'read', bytes: found, answer: 'in boot.img' };
    },
  };
}

function openImage(bytes: Uint8Array): FatImage {
  try {
    return new FatImage(bytes);
  } catch (error) {
    throw new FirmwareFailure(`boot.img cannot be read: ${(error as Error).message}`);
  }
}
