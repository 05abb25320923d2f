import type { Mac } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';
import type { Instant } from './lease.ts';

/** A machine that asked to boot, as far as its packets tell: what `nodes` lists as waiting when nobody added it. */
export interface Sighting {
  readonly mac: Mac;
  readonly interface: string;
  readonly at: Instant;
  /** Absent for the Pi 3 mask ROM, whose option 97 is constant. */
  readonly serial?: Serial;
  /** What it is, in words: `Pi 4`, `Pi 3 (boot ROM)`, … */
  readonly machine: string;
}
