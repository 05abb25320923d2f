import { gunzipSync, zstdDecompressSync } from 'node:zlib';

/** Names that a driver for the RP1 has in it: of its module, or of the device that it binds to in the device tree. */
const RP1 = ['raspberrypi,rp1', 'rp1_pci', 'rp1-pci', 'clk-rp1'];

const COMPRESSED = [
  { magic: Buffer.of(0x28, 0xb5, 0x2f, 0xfd), unpack: zstdDecompressSync },
  { magic: Buffer.of(0x1f, 0x8b, 0x08), unpack: gunzipSync },
] as const;

/**
 * Why a Pi 5 would start this kernel and never reach its root, or `undefined`. Its Ethernet is in the RP1, a chip behind
 * PCIe that kernels without its driver (Debian's 6.12) do not see; QEMU's network card hides that.
 */
export function faultOfPi5Network(kernel: Buffer, initramfs: Buffer | undefined): string | undefined {
  const parts = [kernel, ...(initramfs ? [initramfs] : [])];
  const isNamed = parts
    .flatMap((part) => [part, unpacked(part)])
    .some((part) => RP1.some((name) => part.includes(name)));
  if (isNamed) return undefined;
  return 'neither the kernel nor the initramfs has a driver for the RP1, to which the Ethernet of a Pi 5 belongs: it would start and never find its root';
}

/** What follows the first compression header; an initramfs may have a plain archive before it. Empty when nothing does. */
function unpacked(bytes: Buffer): Buffer {
  for (const { magic, unpack } of COMPRESSED) {
    const start = bytes.indexOf(magic);
    if (start < 0) continue;
    try {
      return unpack(bytes.subarray(start));
    } catch {
      // those bytes were no header after all
    }
  }
  return Buffer.alloc(0);
}
