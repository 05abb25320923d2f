import type { Export } from './export.ts';

/** The folders that may be exported and mounted from. */
export interface Bounds {
  readonly exportsFolder: string;
  readonly generationsFolder: string;
}

const isBelow = (folder: string, path: string): boolean => path.startsWith(`${folder}/`);

/**
 * Why an export may not be applied, or `undefined`. Exports are applied with root's rights and may have come from an
 * unprivileged process as a file: nothing outside the two folders is exported or mounted, whatever it says.
 */
export function outOfBounds(entry: Export, bounds: Bounds): string | undefined {
  if (!isBelow(bounds.exportsFolder, entry.path)) return `it is not below ${bounds.exportsFolder}`;
  if (entry.squashfs !== undefined && !isBelow(bounds.generationsFolder, entry.squashfs))
    return `its root ${entry.squashfs} is not below ${bounds.generationsFolder}`;
  return undefined;
}
