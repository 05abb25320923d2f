/** Boot loaders that an image may ship for machines that are no Pis (`boot.loaders` of its recipe). */
export const LOADERS = ['ipxe', 'u-boot'] as const;

/**
 * The program that a machine's firmware is given first, by its architecture as DHCP's option 93 tells it (IANA's
 * "Processor Architecture Types"; 7 and 9 were swapped before RFC 4578's erratum, so both are x64), the Debian
 * architecture whose systems that machine runs, and the name of the architecture for people.
 */
export interface Platform {
  readonly name: string;
  readonly arch: 'amd64' | 'arm64' | 'armhf';
  /** A path of the boot tree; absent where Debian has no loader for it. */
  readonly loader?: string;
}

const BIOS: Platform = { name: 'BIOS', arch: 'amd64', loader: 'undionly.kpxe' };
const X64: Platform = { name: 'UEFI x64', arch: 'amd64', loader: 'snponly.efi' };
const ARM64: Platform = { name: 'UEFI arm64', arch: 'arm64', loader: 'ipxe-arm64.efi' };
const IA32: Platform = { name: 'UEFI ia32', arch: 'amd64' };
const ARM32: Platform = { name: 'UEFI arm32', arch: 'armhf' };

const PLATFORMS: ReadonlyMap<number, Platform> = new Map([
  [0, BIOS],
  [20, BIOS],
  [7, X64],
  [9, X64],
  [16, X64],
  [11, ARM64],
  [19, ARM64],
  [6, IA32],
  [15, IA32],
  [10, ARM32],
  [18, ARM32],
]);

/** @param arch of option 93. */
export function platformOf(arch: number | undefined): Platform | undefined {
  return arch === undefined ? undefined : PLATFORMS.get(arch);
}

/** Every platform once. */
export const platforms = (): Platform[] => [...new Set(PLATFORMS.values())];
