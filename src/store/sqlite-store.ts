import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Document, Store, Transaction, Write } from '../fleet/store.ts';
import { RevisionConflict } from '../fleet/store.ts';
import { Refusal } from '../model/command.ts';
import { Watchers } from './watchers.ts';

interface Pending {
  readonly transaction: Transaction;
  readonly resolve: (revision: number) => void;
  readonly reject: (error: unknown) => void;
}

interface Row {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

const toDocument = (row: Row): Document => ({ ...row, value: JSON.parse(row.value) as unknown });

/**
 * The Store on one SQLite file. WAL with synchronous=FULL: a commit is on the disk when it returns. Transactions
 * that arrive in one turn of the event loop share one commit (group commit), since the flush is what costs.
 */
export class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #watchers = new Watchers();
  readonly #get: StatementSync;
  readonly #list: StatementSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  #revision: number;
  #pending: Pending[] = [];

  /** @throws Refusal when the file cannot be used: unwritable, or another service holds it. */
  constructor(file: string) {
    try {
      this.#db = new DatabaseSync(file);
      // One writer, for the life of the process: a second service on the same state is refused, not interleaved.
      this.#db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
      this.#db.exec(`
        CREATE TABLE IF NOT EXISTS document (key TEXT PRIMARY KEY, value TEXT NOT NULL, revision INTEGER NOT NULL) STRICT;
        CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
        INSERT INTO counter VALUES ('revision', 0) ON CONFLICT DO NOTHING;
      `);
    } catch (error) {
      throw explain(file, error);
    }
    this.#get = this.#db.prepare('SELECT key, value, revision FROM document WHERE key = ?');
    this.#list = this.#db.prepare(
      'SELECT key, value, revision FROM document WHERE key >= ? AND key < ? ORDER BY key',
    );
    this.#put = this.#db.prepare('INSERT OR REPLACE INTO document (key, value, revision) VALUES (?, ?, ?)');
    this.#delete = this.#db.prepare('DELETE FROM document WHERE key = ?');
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
      if (this.#pending.length === 1) setImmediate(() => this.#commitPending());
    });
  }

  watch(prefix: string, onWrite: (writes: readonly Write[], revision: number) => void): () => void {
    return this.#watchers.add(prefix, onWrite);
  }

  close(): void {
    this.#commitPending();
    this.#db.close();
  }

  #commitPending(): void {
    const group = this.#pending;
    this.#pending = [];
    if (group.length === 0) return;
    const done: Array<{ pending: Pending; revision: number }> = [];
    const before = this.#revision;
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      for (const pending of group) {
        const conflict = this.#firstConflict(pending.transaction);
        if (conflict !== undefined) pending.reject(new RevisionConflict(conflict));
        else done.push({ pending, revision: this.#write(pending.transaction.writes) });
      }
      this.#db.prepare("UPDATE counter SET value = ? WHERE name = 'revision'").run(this.#revision);
      this.#db.exec('COMMIT');
    } catch (error) {
      this.#revision = before;
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      for (const { reject } of group) reject(explain('the state', error)); // settled ones take no notice
      return;
    }
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
