import { existsSync, rmSync } from 'node:fs';

/** The engine's program in a thread that dies as soon as the file `NETBOOT_TEST_DIE` is there. */
const order = process.env.NETBOOT_TEST_DIE ?? '';
const now = performance.now.bind(performance);
performance.now = () => {
  if (existsSync(order)) {
    rmSync(order);
    throw new Error('a mistake in the engine');
  }
  return now();
};
await import('../../src/tftp-worker.ts');
