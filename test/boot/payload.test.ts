import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fetchedBytes, payloads } from '../../src/boot/payload.ts';
import { sampleGeneration } from './sample-view.ts';

const FILES = {
  'bootcode.bin': 1,
  'start.elf': 10,
  'start_x.elf': 20,
  'fixup.dat': 100,
  'fixup_x.dat': 200,
  'start4.elf': 1_000,
  'start4x.elf': 2_000,
  'fixup4.dat': 10_000,
  'fixup4x.dat': 20_000,
  'bcm2837-rpi-3-b.dtb': 100_000,
  'bcm2837-rpi-3-b-plus.dtb': 200_000,
  'bcm2711-rpi-4-b.dtb': 300_000,
  'bcm2712-rpi-5-b.dtb': 400_000,
  'overlays/pi4-spidev.dtbo': 500_000,
  'kernel8.img': 1_000_000,
  initramfs8: 10_000_000,
  'ipxe-arm64.efi': 7,
};
const SYSTEM = 11_000_000;

function generation(config: readonly string[], files: Record<string, number> = FILES) {
  const sample = sampleGeneration('web', files, '/images/web');
  return {
    ...sample,
    boot: { ...sample.boot, kernel: 'kernel8.img', initramfs: 'initramfs8', config: [...config] },
  };
}

describe('what a boot fetches of a generation', () => {
  it('is the firmware, the device tree of the board, kernel and initramfs', () => {
    assert.deepEqual(fetchedBytes(generation(['upstream_kernel=1'])), {
      'Pi 3B': 1 + 10 + 100 + 100_000 + SYSTEM,
      'Pi 3B+': 1 + 10 + 100 + 200_000 + SYSTEM,
      'Pi 4B': 1_000 + 10_000 + 300_000 + SYSTEM,
      'Pi 5': 400_000 + SYSTEM,
      'UEFI arm64': 7 + SYSTEM,
    });
  });

  it('follows config.txt: another build of start4.elf, an overlay', () => {
    const pi4 = payloads(generation(['start_x=1', 'dtoverlay=pi4-spidev,x=1'])).find(
      ({ board }) => board === 'Pi 4B',
    );
    assert.deepEqual(pi4?.files, [
      'start4x.elf',
      'fixup4x.dat',
      'bcm2711-rpi-4-b.dtb',
      'overlays/pi4-spidev.dtbo',
      'kernel8.img',
      'initramfs8',
    ]);
  });

  it('leaves out boards that the generation cannot start', () => {
    const { 'bcm2711-rpi-4-b.dtb': _, 'start.elf': __, 'ipxe-arm64.efi': ___, ...files } = FILES;
    assert.deepEqual(Object.keys(fetchedBytes(generation([], files))), ['Pi 5']);
  });
});
