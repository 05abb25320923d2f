import type { Instant } from './lease.ts';
import type { Log } from './log.ts';

/** Something a person should look at, for as long as it lasts. */
export interface Warning {
  /** Stable, for searching: `DHCP_ROGUE_SERVER eth0`. */
  readonly id: string;
  readonly text: string;
  readonly since: Instant;
}

/** Where engines say what is wrong, and that it is over. */
export interface WarningSink {
  raise(id: string, text: string): void;
  clear(id: string): void;
}

/** More at one time would hide each other. */
const MOST = 100;

/** The warnings that stand now. Each is logged when it is raised, when its text changes, and when it is over. */
export class Warnings implements WarningSink {
  readonly #standing = new Map<string, Warning>();
  readonly #log: Log;
  readonly #now: () => Instant;

  constructor(log: Log, now: () => Instant) {
    this.#log = log;
    this.#now = now;
  }

  raise(id: string, text: string): void {
    const standing = this.#standing.get(id);
    if (standing?.text === text || (!standing && this.#standing.size >= MOST)) return;
    this.#standing.set(id, { id, text, since: standing?.since ?? this.#now() });
    this.#log.warn({ id: 'WARNING_RAISED', warning: id }, text);
  }

  clear(id: string): void {
    if (!this.#standing.delete(id)) return;
    this.#log.info({ id: 'WARNING_OVER', warning: id }, `${id} is over`);
  }

  /** The oldest first. */
  all(): Warning[] {
    return [...this.#standing.values()];
  }
}
