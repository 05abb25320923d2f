import {
  chmodSync,
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  writeSync,
} from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { promisify } from 'node:util';
import type { Document, Store, Transaction, Write } from '../fleet/store.ts';
import { RevisionConflict } from '../fleet/store.ts';
import { Refusal } from '../model/command.ts';
import { Watchers } from './watchers.ts';

interface Pending {
  readonly transaction: Transaction;
  readonly resolve: (revision: number) => void;
  readonly reject: (error: unknown) => void;
}

interface Done {
  readonly pending: Pending;
  readonly revision: number;
}

interface Row {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

const flush = promisify(fdatasync);

const OWNER_ONLY = 0o600;

/**
 * Of a new file. A commit writes whole pages, and the leases of one moment lie on as many pages as they are: with small ones
 * four times as little goes to the disk (which may be an SD card). A row of a quarter of it still needs no second page.
 */
const PAGE_BYTES = 1024;
/**
 * In the log, before they are moved to the database file, which holds everybody up for tens of milliseconds, most of it for
 * the flush. Each page of the database is moved once, however often it was written: a larger log costs the same, more rarely.
 */
const CHECKPOINT_PAGES = 32_000;

const LOG_ROOM_BYTES = CHECKPOINT_PAGES * (PAGE_BYTES + 24);

const toDocument = (row: Row): Document => ({ ...row, value: JSON.parse(row.value) as unknown });

/**
 * The Store on one SQLite file. Transactions share a commit (group commit), since the flush is what costs: those that
 * arrive in one turn of the event loop, and those that arrive while the group before them is on its way to the disk.
 *
 * WAL with synchronous=NORMAL leaves one thing out that FULL does: to flush the log after each commit. We do that
 * ourselves before a transaction resolves, by a descriptor of our own, in a thread of Node's pool: nobody who needs no
 * disk waits for it. (Locks are on the database file alone, so closing this descriptor drops none.)
 */
export class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #watchers = new Watchers();
  readonly #get: StatementSync;
  readonly #list: StatementSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #count: StatementSync;
  readonly #begin: StatementSync;
  readonly #end: StatementSync;
  /** Of the write-ahead log. */
  readonly #log: number;
  #revision: number;
  #pending: Pending[] = [];
  #isFlushing = false;
  #isLogBroken = false;
  #isClosed = false;

  /** @throws Refusal when the file cannot be used: unwritable, or another service holds it. */
  constructor(file: string) {
    try {
      keepFromOthers(file);
      this.#db = new DatabaseSync(file);
      // One writer, for the life of the process: a second service on the same state is refused, not interleaved.
      this.#db.exec(
        `PRAGMA page_size = ${PAGE_BYTES}; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL`,
      );
      this.#db.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
      this.#db.exec(`
        CREATE TABLE IF NOT EXISTS document (key TEXT PRIMARY KEY, value TEXT NOT NULL, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
        INSERT INTO counter VALUES ('revision', 0) ON CONFLICT DO NOTHING;
        UPDATE counter SET value = value; -- so that there is a log, and an unwritable disk is known now
      `);
      this.#log = openSync(`${file}-wal`, 'r+');
      makeRoom(this.#log);
    } catch (error) {
      throw explain(file, error);
    }
    this.#get = this.#db.prepare('SELECT key, value, revision FROM document WHERE key = ?');
    this.#list = this.#db.prepare(
      'SELECT key, value, revision FROM document WHERE key >= ? AND key < ? ORDER BY key',
    );
    this.#put = this.#db.prepare('INSERT OR REPLACE INTO document (key, value, revision) VALUES (?, ?, ?)');
    this.#delete = this.#db.prepare('DELETE FROM document WHERE key = ?');
    this.#begin = this.#db.prepare('BEGIN IMMEDIATE');
    this.#end = this.#db.prepare('COMMIT');
    this.#count = this.#db.prepare("UPDATE counter SET value = ? WHERE name = 'revision'");
    const counter = this.#db.prepare("SELECT value FROM counter WHERE name = 'revision'").get();
    this.#revision = Number(counter?.value ?? 0);
  }

  revision(): number {
    return this.#revision;
  }

  get(key: string): Document | undefined {
    const row = this.#get.get(key) as Row | undefined;
    return row && toDocument(row);
  }

  list(prefix: string): Document[] {
    const end = `${prefix}\u{10ffff}`;
    return (this.#list.all(prefix, end) as unknown as Row[]).map(toDocument);
  }

  transact(transaction: Transaction): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ transaction, resolve, reject });
      if (this.#pending.length === 1 && !this.#isFlushing) setImmediate(() => void this.#commitPending());
    });
  }

  watch(prefix: string, onWrite: (writes: readonly Write[], revision: number) => void): () => void {
    return this.#watchers.add(prefix, onWrite);
  }

  /** What is pending is durable when this returns. A group on its way to the disk settles later, and well. */
  close(): void {
    if (this.#isClosed) return;
    const done = this.#commit(this.#pending.splice(0));
    this.#isClosed = true;
    this.#db.close(); // moves the whole log to the database file, flushed
    this.#settle(done);
    if (!this.#isFlushing) closeSync(this.#log);
  }

  async #commitPending(): Promise<void> {
    if (this.#isFlushing || this.#isClosed || this.#pending.length === 0) return;
    const done = this.#commit(this.#pending.splice(0));
    if (done.length === 0) return;
    this.#isFlushing = true;
    try {
      await flush(this.#log);
      this.#settle(done);
    } catch (error) {
      this.#isLogBroken = true;
      for (const { pending } of done) pending.reject(explain('the state', error));
    }
    this.#isFlushing = false;
    if (this.#isClosed) closeSync(this.#log);
    else void this.#commitPending();
  }

  /** Writes the group in one commit, not yet flushed; gives those of it that were written. */
  #commit(group: readonly Pending[]): Done[] {
    const done: Done[] = [];
    if (group.length === 0) return done;
    const before = this.#revision;
    try {
      if (this.#isLogBroken) this.#mendLog();
      this.#begin.run();
      for (const pending of group) {
        const conflict = this.#firstConflict(pending.transaction);
        if (conflict !== undefined) pending.reject(new RevisionConflict(conflict));
        else done.push({ pending, revision: this.#write(pending.transaction.writes) });
      }
      this.#count.run(this.#revision);
      this.#end.run();
      return done;
    } catch (error) {
      this.#revision = before;
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      for (const { reject } of group) reject(explain('the state', error)); // settled ones take no notice
      return [];
    }
  }

  /**
   * After a failed flush nobody knows which pages of the log are on the disk, and what is written behind a hole in it is
   * lost with it: all of it goes to the database file, flushed, and the log begins anew. @throws while the disk is ill
   */
  #mendLog(): void {
    const row = this.#db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number };
    if (row.busy !== 0) throw new Error('the log of the state could not be written to its disk');
    this.#isLogBroken = false;
  }

  #settle(done: readonly Done[]): void {
    for (const { pending, revision } of done) {
      this.#watchers.tell(pending.transaction.writes, revision);
      pending.resolve(revision);
    }
  }

  #firstConflict(transaction: Transaction): string | undefined {
    return transaction.ifRevisions?.find(({ key, revision }) => (this.get(key)?.revision ?? 0) !== revision)
      ?.key;
  }

  #write(writes: readonly Write[]): number {
    this.#revision += 1;
    for (const write of writes) {
      if (write.kind === 'put') this.#put.run(write.key, JSON.stringify(write.value), this.#revision);
      else this.#delete.run(write.key);
    }
    return this.#revision;
  }
}

/** There are keys in it. SQLite gives its log and shared memory the mode of the database, when it makes them. */
function keepFromOthers(file: string): void {
  try {
    closeSync(openSync(file, 'wx', OWNER_ONLY)); // not one that is there: to close that would drop its locks
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return; // SQLite says what is wrong
  }
  for (const each of [file, `${file}-wal`, `${file}-shm`]) {
    try {
      chmodSync(each, OWNER_ONLY);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') continue; // not there yet, or SQLite says what is wrong
      const remedy = 'Give it to the user the service runs as.';
      throw new Refusal(`"${each}" has keys in it and belongs to another user`, remedy, { cause: error });
    }
  }
}

/**
 * Gives the log its blocks on the disk before they are needed. To flush what overwrites a block is a third of the work of
 * flushing what lengthens a file, and waits for nobody else's files. SQLite knows zeros for the end of its log.
 */
function makeRoom(log: number): void {
  const { size } = fstatSync(log);
  if (size >= LOG_ROOM_BYTES) return;
  const zeros = new Uint8Array(256 * 1024);
  try {
    for (let at = size; at < LOG_ROOM_BYTES; ) {
      const written = writeSync(log, zeros, 0, Math.min(zeros.length, LOG_ROOM_BYTES - at), at);
      if (written === 0) throw new Error('no room');
      at += written;
    }
    fdatasyncSync(log);
  } catch {
    ftruncateSync(log, size); // a disk with so little room is better left with what it has
  }
}

function explain(file: string, error: unknown): Error {
  const code = (error as { errcode?: number }).errcode ?? 0;
  const text = error instanceof Error ? error.message : String(error);
  const primary = code & 0xff; // SQLite's extended codes carry the primary one in the low byte
  if (primary === 5)
    return new Refusal(
      `Another netboot service holds "${file}"`,
      'Stop it, or give this one its own paths.state.',
    );
  if (primary === 13)
    return new Refusal(
      'The disk of the state folder (paths.state) is full',
      'Free some space; nothing was written.',
    );
  if (primary === 11 || primary === 26) {
    const remedy = 'Put it back from a backup, or move it away to begin without nodes and leases.';
    return new Refusal(`"${file}" is damaged: ${text}`, remedy, { cause: error });
  }
  if (primary === 8 || primary === 14 || primary === 10) {
    const remedy = 'Make the state folder (paths.state) writable for the service, and its disk healthy.';
    return new Refusal(`"${file}" cannot be written: ${text}`, remedy, { cause: error });
  }
  return error instanceof Error ? error : new Error(text);
}
