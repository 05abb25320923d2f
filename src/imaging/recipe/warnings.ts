import { NODE_WORDS } from '../../model/node-words.ts';
import type { ImageSource } from './chain.ts';

/** Something that is allowed and probably not meant. */
export interface Warning {
  /** Of the recipe. */
  readonly path?: readonly PropertyKey[];
  /** Of a file beside the recipe, relative to its folder. */
  readonly file?: string;
  readonly problem: string;
}

/**
 * What is worth a second look in the last image of a chain.
 * @param images the root of the chain first.
 */
export function findWarnings(images: readonly ImageSource[]): Warning[] {
  const image = images.at(-1);
  if (image === undefined) return [];
  return [
    ...image.rootfs.flatMap(({ path }) => warnOfPath(`/${path.slice('rootfs/'.length)}`, path)),
    ...image.recipe.files.flatMap(({ path }, index) =>
      warnOfPath(path).map((warning) => ({ ...warning, path: ['files', index, 'path'] })),
    ),
    ...warnOfUnits(images),
    ...warnOfBoot(image),
    ...warnOfRoles(images),
    ...warnOfFstab(images),
  ];
}

function warnOfPath(path: string, file?: string): Warning[] {
  const warn = (problem: string) => [{ ...(file === undefined ? {} : { file }), problem }];
  const top = path.split('/')[1] ?? '';
  if (['run', 'tmp', 'proc', 'sys', 'dev'].includes(top)) {
    return warn(`nobody will see it: something is mounted over /${top} when a node boots; see tmpfiles`);
  }
  if (['bin', 'sbin', 'lib', 'lib64'].includes(top)) {
    return warn(`/${top} is a link to /usr/${top} in Debian; write /usr${path}`);
  }
  if (/^\/etc\/ssh\/ssh_host_.*_key$/.test(path)) {
    return warn('every node of the image would have the same SSH host key, and all can read it');
  }
  if (path === '/etc/machine-id') return warn('each node is given its own machine id at boot');
  return /(~|\.swp|\.orig|\.rej|\.DS_Store)$/.test(path) ? warn('looks like what an editor left behind') : [];
}

function warnOfUnits(images: readonly ImageSource[]): Warning[] {
  const own = images.at(-1)?.recipe.units;
  if (own === undefined) return [];
  const masker = (unit: string) => images.findLast(({ recipe }) => recipe.units.mask.includes(unit));
  const masked = (unit: string, path: readonly PropertyKey[]): Warning[] => {
    const by = masker(unit);
    if (by === undefined) return [];
    return [
      {
        path,
        problem: `"${unit}" is masked ${by === images.at(-1) ? 'too' : `by ${by.name}`}, and so never starts; leave one of the two`,
      },
    ];
  };
  return [
    ...own.enable.flatMap((unit, index) => masked(unit, ['units', 'enable', index])),
    ...own.enable.flatMap((unit, index) =>
      own.disable.includes(unit)
        ? [{ path: ['units', 'enable', index], problem: `"${unit}" is disabled too; leave one of the two` }]
        : [],
    ),
    ...Object.entries(own.wants).flatMap(([by, units]) =>
      units.flatMap((unit, index) => masked(unit, ['units', 'wants', by, index])),
    ),
  ];
}

const NODE_LINES = /^\s*(kernel=|initramfs\s|bootloader_update=|boot_ramdisk=)/;

function warnOfBoot({ recipe: { boot } }: ImageSource): Warning[] {
  const warnOf = (key: 'cmdline' | 'config', pattern: RegExp) =>
    boot[key].flatMap((text, index) =>
      pattern.test(text)
        ? [{ path: ['boot', key, index], problem: `"${text}" has no effect: each node is told its own` }]
        : [],
    );
  return [...warnOf('cmdline', NODE_WORDS), ...warnOf('config', NODE_LINES)];
}

/** Targets that systemd itself has. */
const SYSTEMS_OWN = ['multi-user.target', 'graphical.target', 'rescue.target', 'emergency.target'];

function warnOfRoles(images: readonly ImageSource[]): Warning[] {
  const known = new Set([
    ...SYSTEMS_OWN,
    ...images.flatMap(({ recipe }) => Object.keys(recipe.units.targets).map((name) => `${name}.target`)),
    ...images.flatMap(({ rootfs }) => rootfs.map(({ path }) => path.split('/').at(-1) ?? '')),
  ]);
  return Object.entries(images.at(-1)?.recipe.roles ?? {})
    .filter(([, { target }]) => !known.has(target))
    .map(([role, { target }]) => ({
      path: ['roles', role, 'target'],
      problem: `no recipe makes "${target}"; right if a package or a hook brings it, otherwise add it to units.targets`,
    }));
}

function warnOfFstab(images: readonly ImageSource[]): Warning[] {
  const below = images.slice(0, -1).filter(({ recipe }) => recipe.fstab.length > 0);
  const own = images.at(-1)?.rootfs.find(({ path }) => path === 'rootfs/etc/fstab');
  if (own === undefined || below.length === 0) return [];
  const names = below.map(({ name }) => name).join(', ');
  return [{ file: own.path, problem: `replaces the fstab lines of ${names}; write yours to "fstab"` }];
}
