import type { Serial } from '../net/serial.ts';

/** "netboo" in ASCII, then the version (4) and variant (8) digits of a UUID v4, which machine-id(5) asks for. */
const PREFIX = '6e6574626f6f400080000000';

/**
 * The node's machine id: 32 lower-case hex digits, the same at every boot of every image. It holds the serial number
 * itself rather than a hash of it: two nodes cannot collide, and a journal tells which Pi wrote it.
 */
export function machineIdOf(serial: Serial): string {
  return `${PREFIX}${serial}`;
}
