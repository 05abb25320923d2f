import { mkdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CommandError, Refusal } from '../../model/command.ts';
import type { LockedPackage, PackageRequest } from '../plan/step.ts';
import { type Apt, openApt } from './apt.ts';
import { describeAptFailure } from './apt-failure.ts';
import type { PackageContext } from './context.ts';
import { needArchives } from './sources.ts';
import { keep } from './store.ts';

/** So that what is done of a large set is kept when the builder is killed. */
const PER_BATCH = 12;
const AT_ONCE = 3;

/** What is missing, out of the request's archives to its place. @throws Refusal that says why not; what came stays. */
export async function download(
  missing: readonly LockedPackage[],
  request: PackageRequest,
  context: PackageContext,
  place: (one: LockedPackage) => string,
): Promise<void> {
  await using apt = await openApt(request, context, 'fetch');
  needArchives(apt.sources);
  const parts = join(resolve(context.workFolder), 'packages');
  await mkdir(parts, { recursive: true });
  const lines: string[] = [];
  const stopCounting = countBytes(missing, parts, place, context.onBytes);
  let left = [...missing];
  try {
    for (const round of apt.sources.archives.keys()) {
      const batches = Array.from({ length: Math.ceil(left.length / PER_BATCH) }, (_, index) =>
        left.slice(index * PER_BATCH, (index + 1) * PER_BATCH),
      );
      const take = async () => {
        for (let batch = batches.shift(); batch; batch = batches.shift())
          await fetchBatch(batch, round, { apt, parts, place, context, lines });
      };
      const takers = await Promise.allSettled(Array.from({ length: AT_ONCE }, take));
      const failed = takers.find((taker) => taker.status === 'rejected');
      if (failed) throw failed.reason;
      const there = await Promise.all(left.map((one) => stat(place(one)).catch(() => undefined)));
      left = left.filter((_, index) => !there[index]);
      if (left.length === 0) return;
    }
  } finally {
    await stopCounting();
    await rm(parts, { recursive: true, force: true });
  }
  throw whyNot(left, missing.length, request, lines);
}

async function fetchBatch(
  batch: readonly LockedPackage[],
  round: number,
  by: {
    apt: Apt;
    parts: string;
    place: (one: LockedPackage) => string;
    context: PackageContext;
    lines: string[];
  },
): Promise<void> {
  const { apt, parts, place, context, lines } = by;
  const part = (one: LockedPackage) => join(parts, one.sha256);
  const files = batch.flatMap((one) => [
    `${archiveFor(one, apt.sources.archives, round)}/${escaped(one)}`,
    part(one),
    `SHA256:${one.sha256}`,
  ]);
  try {
    await context.run(
      'setpriv',
      ['--pdeathsig', 'KILL', '/usr/lib/apt/apt-helper', 'download-file', ...files],
      {
        env: apt.environment,
        onLine: (line) => {
          lines.push(line);
          if (/^(Get|Err|E|W|Ign):/.test(line)) context.onLine(line);
        },
        ...(context.signal ? { signal: context.signal } : {}),
      },
    );
  } catch (error) {
    // One that could not be had fails the call; the others may be there all the same.
    if (context.signal?.aborted || !(error instanceof CommandError)) throw error;
  } finally {
    for (const one of batch) await keep(part(one), one, place(one));
  }
}

const escaped = ({ filename }: LockedPackage) => filename.split('/').map(encodeURIComponent).join('/');

/** Debian keeps what is for the security archive apart; every other archive is asked in turn. */
function archiveFor(one: LockedPackage, archives: readonly string[], round: number): string {
  const first = one.filename.startsWith('pool/updates/') ? archives.length - 1 : 0;
  return archives[(first + round) % archives.length] ?? '';
}

function whyNot(
  left: readonly LockedPackage[],
  asked: number,
  request: PackageRequest,
  lines: readonly string[],
): Refusal {
  const gone = left.filter((one) =>
    lines.some((line) => /404|not found/i.test(line) && line.includes(escaped(one))),
  );
  const [first] = gone.length > 0 ? gone : left;
  const more = left.length > 1 ? ` and ${left.length - 1} more` : '';
  const what = `${first?.name} ${first?.version} (${first?.architecture})${more}`;
  if (first && !first.filename.includes('/')) {
    return new Refusal(
      `${first.filename}, which has ${what}, is not as it was`,
      `Put it back, or build with --update`,
    );
  }
  const failure = describeAptFailure(
    `${what} could not be fetched, ${asked - left.length} of ${asked} were and are kept`,
    lines,
    undefined,
  );
  if (gone.length === 0 || /cannot be reached|disk is full/.test(failure.message)) return failure;
  return new Refusal(
    `The archive no longer has ${what}`,
    `Build with --update for what it has now, or let "mirror" in the recipe name a snapshot archive of ${request.suite ?? 'that time'}`,
    { cause: failure },
  );
}

/** Tells how much is there, while it comes. */
function countBytes(
  packages: readonly LockedPackage[],
  parts: string,
  place: (one: LockedPackage) => string,
  onBytes: PackageContext['onBytes'],
): () => Promise<void> {
  if (!onBytes) return async () => {};
  const total = packages.reduce((sum, { size }) => sum + size, 0);
  const count = async () => {
    const sizes = packages.map(async (one) => {
      const found = await stat(place(one)).catch(() => stat(join(parts, one.sha256)).catch(() => undefined));
      return Math.min(found?.size ?? 0, one.size);
    });
    onBytes(
      (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0),
      total,
    );
  };
  const timer = setInterval(() => void count(), 300);
  return () => {
    clearInterval(timer);
    return count();
  };
}
