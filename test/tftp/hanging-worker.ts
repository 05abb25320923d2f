import { existsSync, renameSync } from 'node:fs';

/** The engine's program in a thread that hangs while the file `NETBOOT_TEST_HANG`.taken is there: the first to find it. */
const order = process.env.NETBOOT_TEST_HANG ?? '';
const now = performance.now.bind(performance);
const nothing = new Int32Array(new SharedArrayBuffer(4));
performance.now = () => {
  if (existsSync(order)) {
    renameSync(order, `${order}.taken`);
    while (existsSync(`${order}.taken`)) Atomics.wait(nothing, 0, 0, 20);
  }
  return now();
};
await import('../../src/tftp-worker.ts');
