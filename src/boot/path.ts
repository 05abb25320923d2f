/** A requested path, ready to be looked up below a tree, or the reason why it never will be. */
export type RequestedPath =
  | { readonly kind: 'path'; readonly segments: readonly string[] }
  | { readonly kind: 'refused'; readonly reason: string };

/** Linux's NAME_MAX; a longer segment names no file. */
const MAX_SEGMENT = 255;
const MAX_PATH = 1024;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\x00-\x1f\x7f]/;

/**
 * A path as clients write it, made relative: `\` is `/` (PXE ROMs), repeated and leading `/` count as one or none,
 * and `.` stays where it is. The Pi 5 asks for `bd989ae1//config.txt` (raspberrypi/rpi-eeprom#687).
 * `..` is refused rather than resolved: no firmware sends it.
 */
export function normalisePath(requested: string): RequestedPath {
  if (requested.length > MAX_PATH) return refused(`the path is longer than ${MAX_PATH} bytes`);
  if (CONTROL.test(requested)) return refused('the path holds a control character');
  const segments = requested
    .replaceAll('\\', '/')
    .split('/')
    .filter((segment) => segment !== '' && segment !== '.');
  if (segments.length === 0) return refused('the path names no file');
  if (segments.includes('..')) return refused('the path leaves the tree by ".."');
  if (segments.some((segment) => segment.length > MAX_SEGMENT))
    return refused(`a name in the path is longer than ${MAX_SEGMENT} bytes`);
  return { kind: 'path', segments };
}

function refused(reason: string): RequestedPath {
  return { kind: 'refused', reason };
}
