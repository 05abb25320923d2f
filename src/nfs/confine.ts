import { matchSerial } from '../net/serial.ts';
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
  return entry.area ? faultOfArea(entry, bounds) : faultOfCommon(entry, bounds);
}

/** Below which every node has a folder of its own. */
export const areasFolder = ({ exportsFolder }: Pick<Bounds, 'exportsFolder'>): string =>
  `${exportsFolder}/private`;

function faultOfArea({ path, clients, squashfs }: Export, bounds: Bounds): string | undefined {
  const parent = areasFolder(bounds);
  if (!isBelow(parent, path) || matchSerial(path.slice(parent.length + 1)) === undefined)
    return `it is not the folder of a node in ${parent}`;
  if (squashfs !== undefined) return 'a folder of one node has no sealed root';
  if (clients.length > 1 || clients.some((client) => !client.endsWith('/32')))
    return 'it belongs to one node, and names other clients';
  return undefined;
}

function faultOfCommon({ path }: Export, bounds: Bounds): string | undefined {
  const parent = areasFolder(bounds);
  return path === parent || isBelow(parent, path) ? 'what is below it belongs to one node each' : undefined;
}
