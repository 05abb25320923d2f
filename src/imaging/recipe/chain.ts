import { LOADERS } from '../../model/loader.ts';
import type { RootSettings } from '../../model/root-mode.ts';
import type { Arch, StepInput } from '../plan/step.ts';
import { mergeConfigLines } from './config-lines.ts';
import type { RecipeText } from './schema.ts';
import type { VariableValue } from './variables.ts';

/** A file whose owner or mode, or content, the recipe gives. */
export interface FileRule {
  /** Absolute, without a slash at its end. */
  readonly path: string;
  /** `folder`: made where it is missing, with all above it. */
  readonly kind: 'file' | 'folder';
  readonly owner: string;
  readonly group: string;
  /** Settled: what the recipe says, or else 0644, 0755 for folders and for what is executable in rootfs/. */
  readonly mode: number;
  /** Of a file that rootfs/ does not bring. */
  readonly content?: string;
}

/**
 * A recipe with its variables settled, its strings rendered, and only what is for the chain's architecture; its `mirror` is
 * its own or that of the nearest image below that has one. Equal to another one exactly if `canonical` (canonical.ts)
 * makes the same text of both.
 */
export interface Recipe extends Omit<RecipeText, 'packages' | 'files' | 'variables' | 'set'> {
  /** Names, sorted, each once. */
  readonly packages: {
    readonly add: readonly string[];
    readonly remove: readonly string[];
    readonly upgrade: boolean;
  };
  readonly files: readonly FileRule[];
}

export interface Hook {
  /** Its file name, `20-web.sh`; hooks run in the order of their names. */
  readonly name: string;
  /** At `hooks/<name>`. */
  readonly input: StepInput;
  readonly network: boolean;
  /** Those it names in its text, as `VAR_PORT`: what it does not name it does not get, so that it cannot depend on it. */
  readonly variables: Readonly<Record<string, string>>;
}

/** One image of a chain: its folder as read. */
export interface ImageSource {
  readonly name: string;
  /** Absolute. */
  readonly folder: string;
  readonly recipe: Recipe;
  /** At `rootfs/…`: what rootfs/ and templates/ (rendered) bring, sorted by path. */
  readonly rootfs: readonly StepInput[];
  /** In the order they run. */
  readonly hooks: readonly Hook[];
  /** Absolute paths. */
  readonly localDebs: readonly string[];
}

/** An image with all it is built on. */
export interface RecipeChain {
  readonly name: string;
  readonly arch: Arch;
  /** The root of the chain first, the image itself last. */
  readonly images: readonly ImageSource[];
  /** As settled, of all images. */
  readonly variables: Readonly<Record<string, VariableValue>>;
  /** Image → its image.yaml, as it was read. */
  readonly texts: Readonly<Record<string, string>>;
}

/** What the first layer is made from. */
export type Base =
  | {
      readonly kind: 'debian';
      readonly suite: string;
      readonly arch: Arch;
      readonly components: readonly string[];
      readonly mirror?: string;
    }
  | {
      readonly kind: 'image' | 'tarball';
      readonly file: string;
      readonly sha256: string;
      readonly arch: Arch;
    };

/** What the generation says of itself: of all the chain. */
export interface ImageSettings {
  readonly roles: RecipeText['roles'];
  /** How its nodes have their root; absent where no image says anything. */
  readonly node?: RootSettings;
  readonly boot: {
    /** In the boot tree. */
    readonly kernel: string;
    /** Absent when the recipe wants none. */
    readonly initramfs?: string;
    readonly config: readonly string[];
    readonly cmdline: readonly string[];
    readonly loaders: readonly (typeof LOADERS)[number][];
    readonly initramfsModules: readonly string[];
  };
}

/** What the root of the chain starts from. */
export function baseOf({ images: [root], arch }: RecipeChain): Base {
  if (!root || 'from' in root.recipe.base)
    throw new Error('the first image of a chain has a base of its own');
  const { base, mirror } = root.recipe;
  if ('debian' in base) {
    const { debian: suite, components } = base;
    return { kind: 'debian', suite, arch, components, ...(mirror === undefined ? {} : { mirror }) };
  }
  // Made absolute when the folder was read.
  return 'image' in base
    ? { kind: 'image', file: base.image, sha256: base.sha256, arch }
    : { kind: 'tarball', file: base.tarball, sha256: base.sha256, arch };
}

/** What the boot tree calls the kernel and its initramfs, as the Pi's firmware looks for them where it is not told. */
const KERNEL_OF = {
  arm64: { kernel: 'kernel8.img', initramfs: 'initramfs8' },
  armhf: { kernel: 'kernel7.img', initramfs: 'initramfs7' },
  amd64: { kernel: 'vmlinuz', initramfs: 'initrd.img' },
} as const;

/** Lists add up, the parent's first, each line once; a role or a setting is what the image nearest to the leaf says it is. */
export function settingsOf({ images, arch }: RecipeChain): ImageSettings {
  const boots = images.map(({ recipe }) => recipe.boot);
  const all = <Item>(pick: (boot: (typeof boots)[number]) => readonly Item[]) => [
    ...new Set(boots.flatMap(pick)),
  ];
  const { kernel, initramfs } = KERNEL_OF[arch];
  const wanted = boots.map((boot) => boot.initramfs).findLast((value) => value !== undefined) !== false;
  const node: RootSettings = Object.assign({}, ...images.map(({ recipe }) => recipe.node));
  return {
    roles: Object.assign({}, ...images.map(({ recipe }) => recipe.roles)),
    ...(Object.keys(node).length === 0 ? {} : { node }),
    boot: {
      kernel,
      ...(wanted ? { initramfs } : {}),
      config: mergeConfigLines(boots.map(({ config }) => config)),
      cmdline: all((boot) => boot.cmdline),
      loaders: all((boot) => boot.loaders).toSorted((a, b) => LOADERS.indexOf(a) - LOADERS.indexOf(b)),
      initramfsModules: wanted ? all((boot) => (boot.initramfs ? boot.initramfs.modules : [])) : [],
    },
  };
}
