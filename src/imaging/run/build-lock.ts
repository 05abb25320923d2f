import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Run } from '../../model/command.ts';
import { dependent } from './isolation.ts';

const ownerSchema = z.object({ pid: z.int(), image: z.string(), since: z.iso.datetime() });

/** Who builds. */
export type BuildOwner = z.output<typeof ownerSchema>;

/** Node has no flock(2): a shell holds the lock for us and ends with us. */
const HOLD = 'exec 9>>"$1"; flock --nonblock 9 || { echo busy; flock 9; }; echo taken; exec sleep infinity';

/**
 * One build at a time works on a cache folder. The kernel knows who holds the lock, so nothing stale can be left.
 * @param onWait told once whose build is waited for.
 * @throws the signal's reason when it is aborted meanwhile.
 */
export async function takeBuildLock(
  cache: string,
  order: {
    readonly run: Run;
    readonly image: string;
    readonly now: Date;
    readonly onWait: (owner: BuildOwner | undefined) => void;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<AsyncDisposable> {
  await mkdir(cache, { recursive: true });
  const file = join(cache, 'build.lock');
  const ending = new AbortController();
  const taken = Promise.withResolvers<void>();
  const [program, args] = dependent('sh', '-euc', HOLD, 'sh', file);
  const holder = order.run(program, args, {
    signal: order.signal ? AbortSignal.any([ending.signal, order.signal]) : ending.signal,
    onLine: (line) => {
      if (line === 'taken') taken.resolve();
      else if (line === 'busy') void readOwner(file).then(order.onWait);
    },
  });
  const ended = holder.then(
    () => {},
    () => {},
  );
  holder.catch(taken.reject);
  await taken.promise;
  const owner: BuildOwner = { pid: process.pid, image: order.image, since: order.now.toISOString() };
  await writeFile(file, JSON.stringify(owner));
  const release = async () => {
    ending.abort();
    await ended;
  };
  return { [Symbol.asyncDispose]: release };
}

/** Who took the lock writes into it at once, but not in the same moment. */
async function readOwner(file: string): Promise<BuildOwner | undefined> {
  for (let attempt = 0; attempt < 10; attempt++) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const owner = ownerSchema.safeParse(parseJson(text));
    if (owner.success) return owner.data;
    await sleep(50);
  }
  return undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
