import type { Generation } from '../model/generation.ts';
import type { Node } from '../model/node.ts';

/** The system of a node as a boot loader of a machine that is no Pi starts it. */
export interface Linux {
  /** `web-1 (9ffefdef), generation web-67717bb09c1a`: the first line of what is generated. */
  readonly title: string;
  /** Paths of the node's tree. */
  readonly kernel: string;
  readonly initramfs?: string;
  readonly commandLine: string;
  /** Whether U-Boot can start it: that unpacks no kernel unless its environment says where to. */
  readonly isPlain: boolean;
}

/** A kernel that nothing has to unpack, beside the compressed one of the Pis. */
const PLAIN_KERNEL = 'vmlinuz';

/** `serial0` is the firmware's name for the UART it chose (Raspberry Pi's config.txt); elsewhere nobody replaces it. */
const SERIAL_0 = { arm64: 'ttyAMA0', armhf: 'ttyAMA0', amd64: 'ttyS0' } as const;

/**
 * The node's kernel, initramfs and command line: those of its config.txt and cmdline.txt, but for the console's name.
 * @param cmdline its cmdline.txt.
 */
export function linuxOf(node: Node, generation: Generation, cmdline: string): Linux {
  const { kernel, initramfs, files } = generation.boot;
  const isPlain = Object.hasOwn(files, PLAIN_KERNEL);
  const line = cmdline.trim();
  return {
    title: `${node.name} (${node.serial}), generation ${generation.id}`,
    kernel: isPlain ? PLAIN_KERNEL : kernel,
    ...(initramfs === undefined ? {} : { initramfs }),
    commandLine: line.replace(/\bconsole=serial0\b/g, `console=${SERIAL_0[generation.arch]}`),
    isPlain,
  };
}
