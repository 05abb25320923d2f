import type { Arch, StepInput } from './step.ts';

/** What of the root the steps after the last layer read: shell patterns, a folder with all in it. See their scripts. */
export const READS = {
  initramfs: [
    'usr/lib/modules',
    'usr/lib/firmware',
    'usr/bin/busybox',
    'usr/lib/klibc',
    'usr/lib/klibc-*',
    // Of a busybox that is not static.
    'usr/lib/ld-linux-*',
    'usr/lib/*/ld-linux-*',
    'usr/lib/*/libc.so.6',
    'usr/lib/*/libresolv.so.2',
  ],
  'boot-tree': ['boot/vmlinuz-*', 'usr/lib/linux-image-*', 'usr/lib/raspi-firmware'],
  loaders: ['boot/vmlinuz-*'],
} as const satisfies Record<string, readonly string[]>;

/** What steps/initramfs.sh is given: the first program of a node, and the drivers that nodes of this architecture need. */
export function initramfsInputs(arch: Arch): readonly StepInput[] {
  const input = (path: string, name: string, mode: number): StepInput => ({
    path,
    content: { kind: 'file', file: `${import.meta.dirname}/../initramfs/${name}` },
    mode,
  });
  return [input('init', 'init', 0o755), input('drivers', `drivers-${arch}`, 0o644)];
}

/**
 * Which builds of start.elf the lines of config.txt ask for, by what stands behind `start` in the name, `-` for nothing (all that
 * is known of it: config_txt/boot.adoc, memory.adoc). A Pi fetches one; a boot.img has to hold them all.
 */
export function firmwareBuilds(config: readonly string[]): string {
  const asks = (pattern: RegExp) => config.some((line) => pattern.test(line.replace(/\s/g, '')));
  if (asks(/^(start_file=|fixup_file=|include)/)) return '- cd db x';
  return [
    '-',
    ...(asks(/^gpu_mem(_\d+)?=16$/) ? ['cd'] : []),
    ...(asks(/^start_debug=1/) ? ['db'] : []),
    ...(asks(/^start_x=1/) ? ['x'] : []),
  ].join(' ');
}
