import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { CommandError } from '../../model/command.ts';
import type { PackageRequest } from '../plan/step.ts';
import { renderAptConf } from './apt-conf.ts';
import { describeAptFailure } from './apt-failure.ts';
import type { PackageContext } from './context.ts';
import { SOURCE_PATHS, type Sources, settleSources } from './sources.ts';

/** The host's apt with a configuration, sources and state of its own; gone with the scope but for the package lists. */
export interface Apt extends AsyncDisposable {
  readonly sources: Sources;
  /** Reads the archives' lists anew, unless that was done since `context.asOf`. */
  readonly update: () => Promise<void>;
  /** Runs one of apt's programs and gives what it printed. @throws Refusal that says why it failed. */
  readonly tell: (program: string, args: readonly string[]) => Promise<string>;
  /** The environment for a program of apt. */
  readonly environment: Readonly<Record<string, string>>;
}

const STATUS_PATHS = ['var/lib/dpkg/status', 'var/lib/dpkg/arch', 'var/lib/apt/extended_states'];

export async function openApt(
  request: PackageRequest,
  context: PackageContext,
  /** Fetching needs no knowledge of what is installed. */
  purpose: 'resolve' | 'fetch' = 'resolve',
): Promise<Apt> {
  const folder = await mkdtemp(join(resolve(context.workFolder), 'apt.'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    return { ...(await prepare(request, context, folder, purpose)), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function prepare(
  request: PackageRequest,
  context: PackageContext,
  folder: string,
  purpose: 'resolve' | 'fetch',
): Promise<Omit<Apt, keyof AsyncDisposable>> {
  const root = join(folder, 'root');
  await mkdir(root);
  const wanted = [
    ...(purpose === 'resolve' && request.onto === 'root' ? STATUS_PATHS : []),
    ...(request.suite === undefined ? SOURCE_PATHS : []),
  ];
  if (wanted.length > 0) {
    if (!context.copyFromRoot) throw new TypeError('a request onto a root needs copyFromRoot');
    await context.copyFromRoot(wanted, root);
  }
  const sources = await settleSources(request, context, folder, root);
  const key = createHash('sha256')
    .update(JSON.stringify([sources.identity, request.arch]))
    .digest('hex');
  const lists = join(dirname(resolve(context.downloadsFolder)), 'lists', key.slice(0, 16));
  const status = join(folder, 'status');
  for (const path of [join(lists, 'partial'), join(folder, 'archives/partial')])
    await mkdir(path, { recursive: true });

  const read = (path: string) => readFile(join(root, path), 'utf8').catch(() => '');
  await writeFile(status, await read('var/lib/dpkg/status'));
  await writeFile(join(folder, 'extended_states'), await read('var/lib/apt/extended_states'));
  const foreign = (await read('var/lib/dpkg/arch')).split('\n').filter((arch) => /^[a-z0-9-]+$/.test(arch));
  const hostConf = join(folder, 'host.conf');
  await writeFile(hostConf, `Dir::Etc "${resolve(context.aptFolder)}";\n`);
  const host = await context.run('apt-config', ['dump'], { env: { APT_CONFIG: hostConf } });
  const conf = renderAptConf(
    { folder, lists, status, ...sources.places },
    [...new Set([request.arch, ...foreign])],
    host.split('\n'),
    {
      'Dir::Etc::NetRC': join(resolve(context.aptFolder), 'auth.conf'),
      'Dir::Etc::NetRCParts': join(resolve(context.aptFolder), 'auth.conf.d'),
      ...(sources.mayBeOld ? { 'Acquire::Check-Valid-Until': 'false' } : {}),
    },
  );
  const confFile = join(folder, 'apt.conf');
  await writeFile(confFile, conf);
  const environment = { APT_CONFIG: confFile, DEBIAN_FRONTEND: 'noninteractive' };

  const lock = join(lists, 'in-use');
  const tell = async (mode: '--shared' | '--exclusive', program: string, args: readonly string[]) => {
    const lines: string[] = [];
    const locked = ['--pdeathsig', 'KILL', 'flock', '--no-fork', mode, lock, program, ...args];
    try {
      return await context.run('setpriv', locked, {
        env: environment,
        onLine: (line) => {
          lines.push(line);
          if (mode === '--exclusive' || /^[EW]: /.test(line)) context.onLine(line);
        },
        ...(context.signal ? { signal: context.signal } : {}),
      });
    } catch (error) {
      if (context.signal?.aborted || !(error instanceof CommandError)) throw error;
      throw describeAptFailure(
        `The packages of ${request.suite ?? 'the base image'} (${request.arch})`,
        lines,
        error,
      );
    }
  };
  const stamp = join(lists, 'updated');
  const update = async () => {
    const last = await stat(stamp).catch(() => undefined);
    if (last && context.asOf && last.mtimeMs >= context.asOf.getTime()) return;
    const began = new Date();
    await tell('--exclusive', 'apt-get', ['update']);
    await writeFile(stamp, '');
    await utimes(stamp, began, began);
  };
  return { sources, environment, update, tell: (program, args) => tell('--shared', program, args) };
}
