import type { Board } from './board.ts';

/** What config.txt tells a board's firmware, as far as it decides what is fetched. */
export interface BootConfig {
  /** Last value of each `key=value`, keys lower-cased. */
  readonly settings: ReadonlyMap<string, string>;
  /** `initramfs FILE[,FILE…] followkernel|ADDRESS`, the one command without an equals sign. */
  readonly initramfs: readonly string[];
  /** Names of overlays, in order, without parameters. */
  readonly overlays: readonly string[];
  /** `include`d files whose text was not given: fetch them and parse again. */
  readonly unread: readonly string[];
}

/** The firmware ignores what comes after this many characters of a line (config_txt documentation). */
const LONGEST_LINE = 98;
/** Firmware follows includes without a bound we know; this one keeps a file that includes itself finite. */
const DEEPEST_INCLUDE = 8;

const MODEL_FILTERS: Readonly<Record<Board['variant'], readonly string[]>> = {
  '3b': ['pi3'],
  '3b+': ['pi3', 'pi3+'],
  '4b': ['pi4'],
  '5b': ['pi5'],
};
const ALL_MODELS =
  /^(pi0|pi0w|pi02|pi1|pi2|pi3|pi3\+|pi4|pi400|pi5|pi500|cm0|cm1|cm3|cm3\+|cm4|cm4s|cm5|none)$/;

/**
 * Reads config.txt as the firmware of `board` does: sections filter by model and serial, `[all]` ends every
 * filter, a later value wins, and an include is read in place.
 * @param included text of each included file fetched so far; `undefined` text for one that is missing.
 */
export function parseConfigTxt(
  text: string,
  board: Board,
  included: ReadonlyMap<string, string | undefined> = new Map(),
): BootConfig {
  const settings = new Map<string, string>();
  const overlays: string[] = [];
  const unread: string[] = [];
  let initramfs: string[] = [];
  // One slot per kind of filter: filters of different kinds add up, a second one of a kind replaces the first.
  const filters = new Map<string, boolean>();

  const read = (lines: string, depth: number): void => {
    for (const whole of lines.split(/\r?\n/)) {
      const line = whole.slice(0, LONGEST_LINE).replace(/#.*/, '').trim();
      const section = /^\[(.*)\]$/.exec(line)?.[1];
      if (section !== undefined) applyFilter(filters, section.trim().toLowerCase(), board);
      else if (line !== '' && [...filters.values()].every(Boolean)) command(line, depth);
    }
  };

  const command = (line: string, depth: number): void => {
    const [, word = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    if (word === 'initramfs') initramfs = (rest.split(/\s+/)[0] ?? '').split(',').filter(Boolean);
    else if (word === 'include') {
      if (included.has(rest)) {
        if (depth < DEEPEST_INCLUDE) read(included.get(rest) ?? '', depth + 1);
      } else unread.push(rest);
    } else assign(line);
  };

  const assign = (line: string): void => {
    const equals = line.indexOf('=');
    if (equals < 1) return;
    const key = line.slice(0, equals).trim().toLowerCase();
    const value = line.slice(equals + 1).trim();
    settings.set(key, value);
    if (key === 'dtoverlay' && value !== '') overlays.push(value.split(/[,:]/)[0] as string);
  };

  read(text, 0);
  return { settings, initramfs, overlays, unread };
}

function applyFilter(filters: Map<string, boolean>, name: string, board: Board): void {
  if (name === 'all') filters.clear();
  else if (ALL_MODELS.test(name)) filters.set('model', MODEL_FILTERS[board.variant].includes(name));
  else if (/^0x[0-9a-f]+$/.test(name))
    filters.set('serial', Number.parseInt(name.slice(2).slice(-8), 16) === Number.parseInt(board.serial, 16));
  else if (name.startsWith('board-type='))
    filters.set('board-type', Number(name.slice('board-type='.length)) === ((board.revision >> 4) & 0xff));
  // No monitor, no pin pulled, not a tryboot: EDID, HDMI, gpio and tryboot sections are passed over.
  else filters.set(name.split('=')[0] as string, false);
}
