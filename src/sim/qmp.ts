import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** Why a machine ended (QMP's ShutdownCause, as far as a guest or QEMU itself brings it about). */
export type ShutdownReason = 'guest-reset' | 'guest-shutdown' | 'guest-panic' | (string & {});

const PATIENCE_MS = 20_000;
const AGAIN_MS = 20;

/**
 * QEMU's monitor (qemu-qmp-ref): what happens to the machine, and a way to hold it. QEMU tells nobody of events until the
 * greeting is answered, so the machine is started with `-S` and goes on with `begin`.
 */
export class Qmp {
  /** As it was told; `undefined` while it runs, and when QEMU was ended from outside. */
  shutdown: ShutdownReason | undefined;
  readonly #socket: Socket;
  /** Settles when QEMU has closed the connection and all it said was read. */
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const lines = createInterface({ input: socket });
    // QEMU was ended before it had read all: 'close' follows, and readline tells the error a second time.
    for (const told of [socket, lines]) told.on('error', () => {});
    lines.on('line', (line) => {
      const said = JSON.parse(line) as { event?: string; data?: { reason?: string } };
      if (said.event === 'SHUTDOWN') this.shutdown = said.data?.reason;
    });
    this.closed = new Promise((resolve) => lines.once('close', resolve));
  }

  /** Connects as soon as QEMU listens. @returns `undefined` when it is stopped before. */
  static async open(path: string, signal: AbortSignal): Promise<Qmp | undefined> {
    for (const until = performance.now() + PATIENCE_MS; performance.now() < until && !signal.aborted; ) {
      const socket = connect(path);
      const isThere = await new Promise<boolean>((resolve) => {
        socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      });
      if (isThere) return new Qmp(socket);
      await sleep(AGAIN_MS);
    }
    return undefined;
  }

  /** The machine that was started with `-S` runs. */
  begin(): void {
    this.#say('qmp_capabilities');
    this.#say('cont');
  }

  /** The machine stands still. */
  hold(): void {
    this.#say('stop');
  }

  close(): void {
    this.#socket.destroy();
  }

  #say(execute: string): void {
    this.#socket.write(`${JSON.stringify({ execute })}\n`);
  }
}
