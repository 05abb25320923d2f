import type { Sighting } from '../model/sighting.ts';
import type { Mac } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';

/** More machines than this asking at once is a flood of invented addresses, not a rack. */
const MOST = 1024;

/** The machines that asked to boot, newest last. Kept in memory: a machine that still waits asks again. */
export class Sightings {
  readonly #byMac = new Map<Mac, Sighting>();
  readonly #bySerial = new Map<Serial, Mac>();

  record(sighting: Sighting): void {
    const before = this.#byMac.get(sighting.mac);
    this.#byMac.delete(sighting.mac);
    // The Pi 3 boot ROM does not tell its serial; what an earlier stage told stays known.
    const serial = sighting.serial ?? before?.serial;
    this.#byMac.set(sighting.mac, serial ? { ...sighting, serial } : sighting);
    if (serial) this.#bySerial.set(serial, sighting.mac);
    if (this.#byMac.size > MOST) this.#forget(this.#byMac.keys().next().value as Mac);
  }

  all(): Sighting[] {
    return [...this.#byMac.values()];
  }

  bySerial(serial: Serial): Sighting | undefined {
    const mac = this.#bySerial.get(serial);
    return mac && this.#byMac.get(mac);
  }

  #forget(mac: Mac): void {
    const serial = this.#byMac.get(mac)?.serial;
    if (serial && this.#bySerial.get(serial) === mac) this.#bySerial.delete(serial);
    this.#byMac.delete(mac);
  }
}
