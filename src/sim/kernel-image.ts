/** What a kernel file is, by its magic numbers; `unknown` is left to whoever tries to start it. */
export type KernelFormat = 'arm64' | 'arm64 gzip' | 'arm' | 'EFI zboot' | 'unknown';

export function kernelFormat(bytes: Uint8Array): KernelFormat {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.subarray(0, 2).equals(Buffer.of(0x1f, 0x8b))) return 'arm64 gzip';
  // Linux: arch/arm64 "booting.rst", drivers/firmware/efi/libstub/zboot-header.S, arch/arm/boot head.S
  if (view.toString('latin1', 0x38, 0x3c) === 'ARM\x64') return 'arm64';
  if (view.toString('latin1', 4, 8) === 'zimg') return 'EFI zboot';
  if (view.length >= 0x28 && view.readUInt32LE(0x24) === 0x016f2818) return 'arm';
  return 'unknown';
}

/** Why the firmware cannot start such a kernel, or `undefined` if nothing speaks against it. */
export function faultOfKernel(format: KernelFormat, is64Bit: boolean): string | undefined {
  if (format === 'EFI zboot') return 'is an EFI zboot image, which only UEFI can start';
  if (format === 'arm' && is64Bit) return 'is a 32-bit kernel, but config.txt says arm_64bit=1';
  if (format.startsWith('arm64') && !is64Bit)
    return 'is a 64-bit kernel, but without arm_64bit=1 in config.txt this model starts it in 32-bit mode';
  return undefined;
}
