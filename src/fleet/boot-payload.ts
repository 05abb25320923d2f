import type { StoredGeneration } from '../model/generation.ts';

/** Board → bytes that it fetches when it boots this generation. */
export type FetchedBytes = (generation: StoredGeneration) => Readonly<Record<string, number>>;

/**
 * The boards that a machine may be, as DHCP names it. A Pi 3 does not tell whether it is a B+: their payloads differ by the
 * device tree alone.
 */
const BOARDS: Readonly<Record<string, string>> = {
  'Pi 3 (boot ROM)': 'Pi 3B',
  'Pi 3 or older': 'Pi 3B',
  'Pi 4': 'Pi 4B',
  'Pi 5': 'Pi 5',
};

/** What machines fetch of generations; each generation is counted once. */
export class BootPayloads {
  readonly #fetchedBytes: FetchedBytes;
  readonly #counted = new WeakMap<StoredGeneration, Readonly<Record<string, number>>>();

  constructor(fetchedBytes: FetchedBytes) {
    this.#fetchedBytes = fetchedBytes;
  }

  /** @param machine as a sighting has it: `Pi 4`, `PC (BIOS)`, `iPXE (UEFI x64)`. */
  of(generation: StoredGeneration, machine: string | undefined): number | undefined {
    if (machine === undefined) return undefined;
    let fetched = this.#counted.get(generation);
    if (!fetched) {
      fetched = this.#fetchedBytes(generation);
      this.#counted.set(generation, fetched);
    }
    return fetched[BOARDS[machine] ?? /\((.+)\)$/.exec(machine)?.[1] ?? machine];
  }
}
