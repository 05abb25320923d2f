import { type Logger, pino } from 'pino';

/** JSON lines on stdout, for the journal. NETBOOT_LOG sets the level: debug shows every decision, silence included. */
export function openLog(): Logger {
  return pino({
    level: process.env.NETBOOT_LOG ?? 'info',
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}
