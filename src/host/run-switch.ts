import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { RunSwitch } from '../fleet/power.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const MOST_LINE = 200;

/**
 * Runs a program in a process group of its own, all of which is gone when it resolves: also what the program started
 * in the background, and however long it would have hung. Nothing of our environment but a PATH.
 */
export const runSwitch: RunSwitch = ([program, ...args], { timeoutMs, signal }) =>
  new Promise((resolve) => {
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH, LC_ALL: 'C.UTF-8' },
    });
    const said = new LastLine();
    for (const stream of [child.stdout, child.stderr]) said.read(stream);
    let ending: 'hung' | 'stopped' | undefined;
    const end = (why: 'hung' | 'stopped') => {
      ending ??= why;
      killGroup(child.pid);
    };
    const onAbort = () => end('stopped');
    const timer = setTimeout(() => end('hung'), timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    const over = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      over();
      const how = error.code === 'ENOENT' ? 'there is no such program' : (error.code ?? error.message);
      resolve({ kind: 'not there', how, lastLine: '' });
    });
    child.once('exit', (code, killedBy) => {
      over();
      killGroup(child.pid); // what it left in the background holds the pipes open, too
      const how = killedBy ?? `exit ${code}`;
      const kind = ending ?? (code === 0 ? 'done' : 'failed');
      const tell = () => resolve({ kind, how, lastLine: said.text() });
      // Who has left the group may hold the pipes for ever.
      const grace = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, 1_000);
      child.once('close', () => {
        clearTimeout(grace);
        tell();
      });
    });
  });

function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // nobody is left
  }
}

/** The last line that is not empty, however much a program prints. */
class LastLine {
  #last = '';
  readonly #open = new Map<Readable, string>();

  read(stream: Readable): void {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      const lines = `${this.#open.get(stream) ?? ''}${text}`.split('\n');
      this.#open.set(stream, (lines.pop() ?? '').slice(0, MOST_LINE));
      this.#last = lines.findLast((line) => line.trim() !== '') ?? this.#last;
    });
  }

  text(): string {
    const open = [...this.#open.values()].findLast((line) => line.trim() !== '');
    const line = (open ?? this.#last).replace(/\p{Cc}/gu, ' ').trim();
    return line.length > MOST_LINE ? `${line.slice(0, MOST_LINE)}…` : line;
  }
}
