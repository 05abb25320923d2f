/**
 * Where decisions are written down. One line per decision, fields first, after pino, whose loggers satisfy this.
 * Operators search by the stable `id` in the fields, e.g. `DHCP_OFFER`, `TFTP_MISS`.
 */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** For where nobody reads: tests and one-shot commands. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
