/** Names in a directory of a FAT file system: the short one every file has, and the long one it is known by. */

/** Bytes of a directory entry; a long name takes one more for each 13 of its characters. */
export const ENTRY_BYTES = 32;
const CHARACTERS_PER_ENTRY = 13;
const LONGEST_NAME = 255;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const FORBIDDEN = /[\x00-\x1f"*/:<>?\\|\x7f]|[. ]$/;
const SHORT = /^([A-Z0-9!#$%&'()@^_`{}~-]{1,8})(?:\.([A-Z0-9!#$%&'()@^_`{}~-]{1,3}))?$/;

/** A name or a size that a FAT file system cannot hold. */
export class UnfitForFat extends Error {
  override readonly name = 'UnfitForFat';
}

/**
 * The short name of each name of a directory: eleven bytes, unique. One that is no short name as it is gets a number
 * in its short name's tail (`BCM271~1DTB`).
 * @throws UnfitForFat for a name that no FAT directory can hold, or two that differ in case alone.
 */
export function shortNames(names: readonly string[]): ReadonlyMap<string, string> {
  const seen = new Set<string>();
  for (const name of names) {
    if (FORBIDDEN.test(name) || name.length > LONGEST_NAME)
      throw new UnfitForFat(`the file name ${JSON.stringify(name)}`);
    const folded = name.toUpperCase();
    if (seen.has(folded)) throw new UnfitForFat(`two files named ${JSON.stringify(name)} but for the case`);
    seen.add(folded);
  }
  const short = new Map<string, string>();
  const isTaken = new Set<string>();
  const take = (name: string, found: string) => {
    short.set(name, found);
    isTaken.add(found);
  };
  for (const name of names) {
    const [, stem, extension = ''] = SHORT.exec(name.toUpperCase()) ?? [];
    if (stem !== undefined) take(name, stem.padEnd(8) + extension.padEnd(3));
  }
  const nextTail = new Map<string, number>();
  for (const name of names) {
    if (short.has(name)) continue;
    const dot = name.lastIndexOf('.');
    const stem = clean(dot > 0 ? name.slice(0, dot) : name) || '_';
    const extension = clean(dot > 0 ? name.slice(dot + 1) : '')
      .slice(0, 3)
      .padEnd(3);
    const basis = stem.slice(0, 6) + extension;
    for (let number = nextTail.get(basis) ?? 1; ; number++) {
      const tail = `~${number}`;
      const candidate = (stem.slice(0, 8 - tail.length) + tail).padEnd(8) + extension;
      if (isTaken.has(candidate)) continue;
      take(name, candidate);
      nextTail.set(basis, number + 1);
      break;
    }
  }
  return short;
}

/** Directory entries that `name` takes. */
export function entryCount(name: string, short: string): number {
  return 1 + (isShort(name, short) ? 0 : Math.ceil(name.length / CHARACTERS_PER_ENTRY));
}

/**
 * The entries of the long name, which come before the entry with the short one and the last part first. None when the
 * short name says it all. Lower-case names always get one: not every reader knows the flags that say "lower case".
 */
export function longNameEntries(name: string, short: string): Uint8Array[] {
  if (isShort(name, short)) return [];
  const checksum = [...short].reduce(
    (sum, character) => (((sum & 1) << 7) + (sum >> 1) + character.charCodeAt(0)) & 0xff,
    0,
  );
  const parts = Math.ceil(name.length / CHARACTERS_PER_ENTRY);
  return Array.from({ length: parts }, (_, index) => {
    const part = parts - index;
    const entry = new Uint8Array(ENTRY_BYTES);
    const view = new DataView(entry.buffer);
    entry[0] = part | (index === 0 ? 0x40 : 0);
    entry[11] = 0x0f;
    entry[13] = checksum;
    for (let slot = 0; slot < CHARACTERS_PER_ENTRY; slot++) {
      const at = (part - 1) * CHARACTERS_PER_ENTRY + slot;
      // The name ends with a zero, if it does not fill the entry; what is left after that is all ones.
      const code = at < name.length ? name.charCodeAt(at) : at === name.length ? 0 : 0xffff;
      view.setUint16(offsetOfSlot(slot), code, true);
    }
    return entry;
  });
}

/** A long name's characters lie around the fields that an old reader takes for attributes and a cluster. */
function offsetOfSlot(slot: number): number {
  if (slot < 5) return 1 + slot * 2;
  return slot < 11 ? 14 + (slot - 5) * 2 : 28 + (slot - 11) * 2;
}

function isShort(name: string, short: string): boolean {
  const [stem, extension] = [short.slice(0, 8).trimEnd(), short.slice(8).trimEnd()];
  return name === (extension ? `${stem}.${extension}` : stem);
}

function clean(text: string): string {
  return text
    .toUpperCase()
    .replaceAll(/[. ]/g, '')
    .replaceAll(/[^A-Z0-9!#$%&'()@^_`{}~-]/g, '_');
}
