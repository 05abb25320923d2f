import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from '../../src/host/run.ts';

/** A boot tree of a few files in a folder that dnsmasq can serve. */
export async function makeTree(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'netboot-sim-test-'));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

export interface ForeignServer extends AsyncDisposable {
  /** What it logged so far. */
  readonly log: string[];
}

/** dnsmasq in a namespace: the server virtual Pis are checked against, written by others long before. */
export async function startDnsmasq(namespace: string, link: string, args: string[]): Promise<ForeignServer> {
  const stop = new AbortController();
  const log: string[] = [];
  const fixed = [
    '--no-daemon',
    '--conf-file=/dev/null',
    '--port=0',
    '--log-dhcp',
    '--no-ping',
    '--user=root',
  ];
  const bound = [`--interface=${link}`, '--bind-interfaces', '--dhcp-leasefile=/dev/null'];
  let ready = () => {};
  const isReady = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const running = run('ip', ['netns', 'exec', namespace, 'dnsmasq', ...fixed, ...bound, ...args], {
    signal: stop.signal,
    onLine: (line) => {
      log.push(line);
      if (/dnsmasq: started/.test(line)) ready();
    },
  }).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  await Promise.race([isReady, running]);
  return {
    log,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

export async function removeTree(folder: string): Promise<void> {
  await rm(folder, { recursive: true });
}
