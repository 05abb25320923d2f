import { Worker } from 'node:worker_threads';

/**
 * Moves the pages of the write-ahead log to the database file, in a thread, since it takes tens of milliseconds: twice
 * while others go on writing, which leaves what was written during the second time, and then the rest, while nobody
 * writes. SQLite begins the log anew with the next write after that.
 *
 * Nothing here is needed for a power cut to lose nothing, that is SQLite's own doing (synchronous=NORMAL in both
 * connections): pages are copied after the log was flushed, so that what a torn copy leaves behind is repaired from the
 * log; the log counts as moved when all of it is in the database file and that is flushed; and before the first page
 * overwrites the log its new header is flushed, which makes the rest of the old one invalid. When a move fails, or is not
 * whole since somebody wrote, the log is longer and the next one has more to do.
 */
export class LogMover {
  readonly #file: string;
  readonly #pages: number;
  #state: 'idle' | 'copying' | 'almost' = 'idle';
  #nextAt: number;
  #thread: Worker | undefined;

  /** @param pages in the log, from which on they are moved. */
  constructor(file: string, pages: number) {
    this.#file = file;
    this.#pages = pages;
    this.#nextAt = pages;
  }

  /**
   * To be called when a group was written and flushed. @param pages in the log
   * @returns what the next group is to wait for; it never rejects.
   */
  afterWrite(pages: number): Promise<void> | undefined {
    if (this.#state === 'almost') return this.#finish(pages);
    if (this.#state === 'idle' && pages >= this.#nextAt) void this.#copy();
    return undefined;
  }

  /** A thread at work ends when it is done with that. */
  stop(): void {
    void this.#thread?.terminate();
  }

  async #copy(): Promise<void> {
    this.#state = 'copying';
    await this.#checkpoint();
    await this.#checkpoint();
    this.#state = 'almost';
  }

  async #finish(pages: number): Promise<void> {
    const isMoved = await this.#checkpoint();
    this.#nextAt = isMoved ? this.#pages : pages + this.#pages / 4;
    this.#state = 'idle';
  }

  /** @returns whether the whole log was moved. */
  #checkpoint(): Promise<boolean> {
    this.#thread ??= this.#start();
    const thread = this.#thread;
    return new Promise((resolve) => {
      const settle = (isMoved: boolean) => {
        thread.off('message', settle);
        thread.off('exit', fail);
        thread.unref(); // idle, it keeps no process alive
        resolve(isMoved);
      };
      const fail = () => settle(false);
      thread.on('message', settle);
      thread.on('exit', fail);
      thread.ref();
      thread.postMessage('checkpoint');
    });
  }

  #start(): Worker {
    const thread = new Worker(new URL('./log-mover-thread.ts', import.meta.url), {
      workerData: this.#file,
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16 },
      name: 'log-mover',
    });
    // SQLite's error, which the next writer has as well when it is the disk's.
    thread.on('error', () => {});
    thread.on('exit', () => {
      this.#thread = undefined;
    });
    return thread;
  }
}
