import { fdatasyncSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * The program of the thread that moves the log. Whatever goes wrong ends the thread, which the store sees.
 *
 * A passive checkpoint flushes the log, copies pages from it, and flushes the database file only when it has got to the
 * end of the log. We flush that file each time, so that the last one, for which writers wait, finds little to do.
 */
function main(file: string): void {
  const db = new DatabaseSync(file);
  db.exec('PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0');
  const checkpoint = db.prepare('PRAGMA wal_checkpoint(PASSIVE)');
  // Never closed before the connections are: to close any descriptor of a file drops all locks the process has on it.
  const database = openSync(file, 'r+');
  parentPort?.on('message', () => {
    const { busy, log, checkpointed } = checkpoint.get() as Record<'busy' | 'log' | 'checkpointed', number>;
    fdatasyncSync(database);
    parentPort?.postMessage(busy === 0 && checkpointed === log);
  });
}

main(workerData as string);
