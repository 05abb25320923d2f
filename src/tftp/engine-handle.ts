import { Worker } from 'node:worker_threads';
import {
  type EngineLimits,
  type EngineOrder,
  type EngineReport,
  type EngineSetup,
  GAUGES,
  gauge,
} from './engine-port.ts';

/** Wakes the engine's thread, which waits in system calls. */
export interface Wake {
  readonly fd: number;
  wake(): void;
  close(): void;
}

export interface EngineHandleOptions {
  /** The program of the thread. */
  readonly entry: URL;
  readonly openWake: () => Wake;
  readonly limits: EngineLimits;
  /** How long it may do nothing before it counts as hanging; 10 s unless told. */
  readonly stuckMs?: number;
  readonly onReports: (reports: readonly EngineReport[]) => void;
  /** The thread has ended by itself: nothing it ran goes on. */
  readonly onDeath: (cause: Error) => void;
}

const DEFAULT_STUCK_MS = 10_000;

/** An engine as the service sees it: orders go in, reports come out. */
export class EngineHandle {
  /** Transfers it has been given and has not told the end of. */
  load = 0;
  readonly #worker: Worker;
  readonly #wake: Wake;
  readonly #gauges = new Float64Array(new SharedArrayBuffer(GAUGES * 8));
  readonly #orders = new Int32Array(new SharedArrayBuffer(4));
  readonly #exited: Promise<void>;
  #isStopping = false;
  readonly #stuckMs: number;
  #beat = { value: 0, at: performance.now() };

  constructor(options: EngineHandleOptions) {
    this.#stuckMs = options.stuckMs ?? DEFAULT_STUCK_MS;
    this.#wake = options.openWake();
    const workerData: EngineSetup = {
      wakeFd: this.#wake.fd,
      gauges: this.#gauges.buffer as SharedArrayBuffer,
      orders: this.#orders.buffer as SharedArrayBuffer,
      limits: options.limits,
    };
    // What an engine allocates are reports and messages; its buffers lie outside.
    const resourceLimits = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 128 };
    this.#worker = new Worker(options.entry, { workerData, resourceLimits, name: 'tftp' });
    let cause: Error | undefined;
    this.#worker.on('message', (reports: readonly EngineReport[]) => options.onReports(reports));
    this.#worker.on('error', (error) => {
      cause = error instanceof Error ? error : new Error(String(error));
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#wake.close();
        resolve();
        if (!this.#isStopping) options.onDeath(cause ?? new Error(`the thread ended with code ${code}`));
      });
    });
    // Sockets keep the service alive; a thread alone would keep a process that has nothing else to do. Last of all:
    // a listener takes it back.
    this.#worker.unref();
  }

  post(order: EngineOrder): void {
    this.#worker.postMessage(order);
    Atomics.add(this.#orders, 0, 1);
    this.#wake.wake();
  }

  gauge(name: keyof typeof gauge): number {
    return this.#gauges[gauge[name]] as number;
  }

  /** Whether its heart stands still, in a system call on a failing disk for one. To be asked every few seconds. */
  isStuck(): boolean {
    const now = performance.now();
    const beat = this.gauge('heartbeat');
    if (beat !== this.#beat.value) this.#beat = { value: beat, at: now };
    return now - this.#beat.at >= this.#stuckMs;
  }

  /** Ends every transfer without a word; resolves when the thread is gone. */
  async stop(): Promise<void> {
    if (this.#isStopping) return this.#exited;
    this.#isStopping = true;
    this.#worker.ref();
    this.post({ kind: 'stop' });
    await this.#exited;
  }
}
