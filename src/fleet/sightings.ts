import type { Sighting } from '../model/sighting.ts';
import type { Mac } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';

/** More machines than this asking at once is a flood of invented addresses, not a rack. */
const MOST = 1024;

/** The machines that asked to boot, newest last. Kept in memory: a machine that still waits asks again. */
export class Sightings {
  readonly #byMac = new Map<Mac, Sighting>();

  record(sighting: Sighting): void {
    const before = this.#byMac.get(sighting.mac);
    this.#byMac.delete(sighting.mac);
    // The Pi 3 boot ROM does not tell its serial; what an earlier stage told stays known.
    const serial = sighting.serial ?? before?.serial;
    this.#byMac.set(sighting.mac, serial ? { ...sighting, serial } : sighting);
    if (this.#byMac.size > MOST) this.#byMac.delete(this.#byMac.keys().next().value as Mac);
  }

  all(): Sighting[] {
    return [...this.#byMac.values()];
  }

  bySerial(serial: Serial): Sighting | undefined {
    return this.all().findLast((sighting) => sighting.serial === serial);
  }
}
