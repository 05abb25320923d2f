import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CommandError, type Filter, Refusal } from '../model/command.ts';

const SBIN = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Runs a program of this machine between two streams; implements the `Filter` port. It ends with us, however we end. */
export const filter: Filter = (program, args, input, signal) => {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: SBIN, LC_ALL: 'C.UTF-8' },
    ...(signal ? { signal, killSignal: 'SIGKILL' as const } : {}),
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000);
  });
  const fed = feed(child.stdin, input).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  const ended = Promise.all([once(child, 'close'), fed]).then(
    ([[code, killedBy]]) => {
      if (code === 0) return;
      const stderrTail = said.trim();
      const how = `failed (exit ${code ?? killedBy})`;
      const argv = [program, ...args];
      throw new CommandError(`"${argv.join(' ')}" ${how}: ${stderrTail}`, {
        argv,
        exitCode: code ?? undefined,
        stderrTail,
      });
    },
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' || error.syscall !== `spawn ${program}`) throw error;
      const remedy = `Install it: apt-get install ${program === 'xz' ? 'xz-utils' : program}`;
      throw new Refusal(`The program "${program}" is not installed`, remedy, { cause: error });
    },
  );
  ended.catch(() => {}); // is looked at after the output
  return { output: child.stdout, ended };
};

/** @throws what the input throws; a program that wants no more says why by its exit code. */
async function feed(stdin: NodeJS.WritableStream, input: AsyncIterable<Uint8Array>): Promise<void> {
  let isClosed = false;
  stdin.on('error', () => {
    isClosed = true;
  });
  for await (const chunk of input) {
    if (isClosed) break;
    if (stdin.write(chunk)) continue;
    await Promise.race([once(stdin, 'drain'), once(stdin, 'close')]).catch(() => {});
  }
  stdin.end();
}
