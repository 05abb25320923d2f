import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { run } from '../../../src/host/run.ts';
import type { PackageContext } from '../../../src/imaging/packages/context.ts';
import type { PackageRequest } from '../../../src/imaging/plan/step.ts';

export interface TinyPackage {
  readonly name: string;
  readonly version?: string;
  readonly architecture?: string;
  /** More control fields, and files by path. */
  readonly control?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
}

/** A package file made by dpkg-deb. @returns its path. */
export async function makeDeb(folder: string, one: TinyPackage): Promise<string> {
  const { name, version = '1.0', architecture = 'all', control = {}, files = {} } = one;
  const tree = await mkdtemp(join(folder, 'deb.'));
  await mkdir(join(tree, 'DEBIAN'));
  const fields = {
    Package: name,
    Version: version,
    Architecture: architecture,
    Maintainer: 'x <x@x.test>',
    Description: name,
  };
  const lines = Object.entries({ ...fields, ...control }).map(([key, value]) => `${key}: ${value}\n`);
  await writeFile(join(tree, 'DEBIAN/control'), lines.join(''));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(tree, path, '..'), { recursive: true });
    await writeFile(join(tree, path), text);
    if (path.startsWith('DEBIAN/')) await chmod(join(tree, path), 0o755);
  }
  const file = join(folder, `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`);
  await chmod(tree, 0o755);
  await run('dpkg-deb', ['--root-owner-group', '-Zgzip', '--build', tree, file]);
  await rm(tree, { recursive: true });
  return file;
}

/** A signed archive of tiny packages, served on 127.0.0.1. */
export interface Archive extends AsyncDisposable {
  readonly uri: string;
  readonly folder: string;
  readonly keyring: string;
  /** Writes the indices of suites `test` and `test-updates` anew from the packages in pool/. */
  readonly publish: (options?: { readonly sign?: boolean }) => Promise<void>;
  /** After so many bytes the server is gone. */
  readonly dieAfter: (bytes: number) => void;
  readonly revive: () => Promise<void>;
  readonly requests: string[];
}

export async function openArchive(packages: readonly TinyPackage[]): Promise<Archive> {
  const folder = await mkdtemp(join(tmpdir(), 'netboot-archive-'));
  const gnupg = join(folder, 'gnupg');
  await mkdir(gnupg, { mode: 0o700 });
  const gpg = (...args: string[]) => run('gpg', ['--homedir', gnupg, '--batch', '--yes', '--quiet', ...args]);
  await gpg('--passphrase', '', '--quick-generate-key', 'archive', 'ed25519', 'sign', 'never');
  const keyring = join(folder, 'keyring.gpg');
  await gpg('--output', keyring, '--export');
  const pool = join(folder, 'www/pool');
  await mkdir(pool, { recursive: true });
  await Promise.all(packages.map((one) => makeDeb(pool, one)));

  const publish = async ({ sign = true } = {}) => {
    const stanzas: string[] = [];
    for (const name of (await readdir(pool)).filter((name) => name.endsWith('.deb'))) {
      const data = await readFile(join(pool, name));
      const control = await run('dpkg-deb', ['--field', join(pool, name)]);
      stanzas.push(`${control}\nFilename: pool/${name}\nSize: ${data.length}\nSHA256: ${sha256(data)}\n`);
    }
    for (const suite of ['test', 'test-updates']) {
      const dist = join(folder, 'www/dists', suite);
      await mkdir(join(dist, 'main/binary-amd64'), { recursive: true });
      const index = suite === 'test' ? stanzas.join('\n') : '';
      await writeFile(join(dist, 'main/binary-amd64/Packages'), index);
      const sum = ` ${sha256(index)} ${Buffer.byteLength(index)} main/binary-amd64/Packages`;
      const head = [
        `Origin: Tiny`,
        `Suite: ${suite}`,
        `Codename: ${suite}`,
        'Architectures: amd64',
        'Components: main',
      ];
      const release = [...head, `Date: ${new Date().toUTCString()}`, 'SHA256:', sum, ''].join('\n');
      await rm(join(dist, 'InRelease'), { force: true });
      await writeFile(join(dist, 'Release'), release);
      if (sign)
        await gpg(
          '--passphrase',
          '',
          '--output',
          join(dist, 'InRelease'),
          '--clearsign',
          join(dist, 'Release'),
        );
    }
  };
  await publish();

  const requests: string[] = [];
  let left = Number.POSITIVE_INFINITY;
  let server: Server | undefined;
  let port = 0;
  const close = () => {
    server?.close();
    server?.closeAllConnections();
    server = undefined;
  };
  const listen = async () => {
    close();
    left = Number.POSITIVE_INFINITY;
    server = createServer(async (request, response) => {
      const path = decodeURIComponent(request.url ?? '');
      requests.push(path);
      const file = join(folder, 'www', path);
      const found = await stat(file).catch(() => undefined);
      if (!found?.isFile()) return void response.writeHead(404).end();
      response.writeHead(200, { 'content-length': found.size, 'last-modified': found.mtime.toUTCString() });
      for await (const chunk of createReadStream(file, { highWaterMark: 4096 })) {
        left -= (chunk as Buffer).length;
        if (left < 0) return close();
        response.write(chunk);
      }
      response.end();
    }).listen(port, '127.0.0.1');
    await new Promise((resolve) => server?.once('listening', resolve));
    port = (server.address() as AddressInfo).port;
  };
  await listen();
  const dieAfter = (bytes: number) => {
    left = bytes;
    if (bytes <= 0) close();
  };
  const uri = `http://127.0.0.1:${port}`;
  const dispose = async () => {
    close();
    await run('gpgconf', ['--homedir', gnupg, '--kill', 'all']);
    await rm(folder, { recursive: true, force: true });
  };
  return {
    uri,
    folder,
    keyring,
    publish,
    dieAfter,
    revive: listen,
    requests,
    [Symbol.asyncDispose]: dispose,
  };
}

export async function scratch(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'netboot-packages-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A context with a cache of its own, and what apt said. */
export async function openContext(
  t: TestContext,
  archive: Archive | undefined,
): Promise<{ context: PackageContext; said: string[]; cache: string }> {
  const cache = await scratch(t);
  const said: string[] = [];
  for (const name of ['work', 'downloads', 'apt']) await mkdir(join(cache, name));
  // The tests' own: no proxy of the machine's, and no minute of waiting for a server that is gone.
  await mkdir(join(cache, 'apt/apt.conf.d'));
  await writeFile(
    join(cache, 'apt/apt.conf.d/test'),
    'Acquire::Retries::Delay "false";\nAcquire::http::Timeout "5";\n',
  );
  const context: PackageContext = {
    run,
    downloadsFolder: join(cache, 'downloads'),
    workFolder: join(cache, 'work'),
    aptFolder: join(cache, 'apt'),
    onLine: (line) => void said.push(line),
    ...(archive ? { keyring: archive.keyring } : {}),
  };
  return { context, said, cache };
}

/** For an amd64 root from nothing, out of this archive. */
export function requestTo(archive: Archive, changes: Partial<PackageRequest> = {}): PackageRequest {
  const { uri: mirror } = archive;
  const request = { onto: 'debian', arch: 'amd64', suite: 'test', components: ['main'], mirror } as const;
  return { ...request, add: [], remove: [], upgrade: false, fetchOnly: [], local: [], ...changes };
}

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');
