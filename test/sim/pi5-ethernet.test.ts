import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { faultOfPi5Network } from '../../src/sim/pi5-ethernet.ts';

const driver = Buffer.from(`${'\0'.repeat(5000)}of:N*T*Craspberrypi,rp1-clocks\0`);
const nothing = Buffer.from('\0'.repeat(5000));

describe('whether a Pi 5 would find its network', () => {
  const kernels: Record<string, { kernel: Buffer; initramfs?: Buffer; finds: boolean }> = {
    'a kernel with the driver in it': { kernel: driver, finds: true },
    'a gzip kernel with the driver in it': { kernel: gzipSync(driver), finds: true },
    'the driver in a zstd initramfs': { kernel: nothing, initramfs: zstdCompressSync(driver), finds: true },
    'the driver behind a plain archive': {
      kernel: nothing,
      initramfs: Buffer.concat([Buffer.from('070701'), nothing, gzipSync(driver)]),
      finds: true,
    },
    'no driver anywhere': { kernel: gzipSync(nothing), initramfs: zstdCompressSync(nothing), finds: false },
    'no driver and no initramfs': { kernel: nothing, finds: false },
  };
  for (const [name, { kernel, initramfs, finds }] of Object.entries(kernels)) {
    it(`${name}: ${finds ? 'yes' : 'no'}`, () => {
      assert.equal(faultOfPi5Network(kernel, initramfs) === undefined, finds);
    });
  }
});
