import { DatabaseSync } from 'node:sqlite';

/**
 * Keeps every other service away from a state, also while we have several connections to it. It is SQLite's lock of an
 * empty file beside it, since Node has none of its own: the kernel frees it when the process ends, however that ends.
 * @throws SQLite's error: busy when another one holds it.
 */
export function lockState(file: string): Disposable {
  const lock = new DatabaseSync(`${file}-lock`);
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    throw error;
  }
  return { [Symbol.dispose]: () => lock.close() };
}
