import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Export } from '../../src/nfs/export.ts';
import type { Exporter, ExportState } from '../../src/nfs/exporter.ts';

export const INSIDE = '10.77.0.1';
export const OUTSIDE = '10.99.0.1';

export function needPrograms(...programs: string[]): void {
  const folders = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  for (const program of programs) {
    const isThere = folders.some((folder) => {
      try {
        accessSync(`${folder}/${program}`);
        return true;
      } catch {
        return false;
      }
    });
    assert.ok(isThere, `this test needs "${program}": run scripts/test.sh, which installs it`);
  }
  assert.equal(process.getuid?.(), 0, 'this test makes namespaces and mounts: run it as root');
}

interface Answer {
  readonly kind: Exporter['kind'];
  readonly exports: ExportState[];
  readonly problem?: string;
}

/** A network namespace with two addresses, a folder with everything, and the exporter's process in it. */
export class NfsRack {
  readonly folder = mkdtempSync('/var/tmp/netboot-nfs-');
  readonly exportsFolder = `${this.folder}/exports`;
  readonly netns = `nb-nfs-${process.pid}`;
  server: ChildProcess | undefined;
  #lines: AsyncIterator<string> | undefined;

  constructor() {
    execFileSync('ip', ['netns', 'add', this.netns]);
    this.sh('ip', 'link', 'set', 'lo', 'up');
    for (const address of [INSIDE, OUTSIDE]) this.sh('ip', 'address', 'add', `${address}/24`, 'dev', 'lo');
  }

  /** Runs a program in the namespace; its stdout. */
  sh(program: string, ...args: string[]): string {
    return execFileSync('nsenter', [`--net=/run/netns/${this.netns}`, program, ...args], {
      encoding: 'utf8',
      timeout: 15_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  spawn(program: string, ...args: string[]): ChildProcess {
    return spawn('nsenter', [`--net=/run/netns/${this.netns}`, program, ...args], {
      stdio: ['pipe', 'pipe', process.env.NFS_DEBUG ? 'inherit' : 'ignore'],
    });
  }

  /** A sealed root with these files, as an export. */
  seal(id: string, files: Record<string, string | Uint8Array>): Export {
    const tree = `${this.folder}/trees/${id}`;
    const generation = `${this.folder}/generations/${id}`;
    mkdirSync(tree, { recursive: true });
    mkdirSync(generation, { recursive: true });
    for (const [name, content] of Object.entries(files)) writeFileSync(`${tree}/${name}`, content);
    const squashfs = `${generation}/root.squashfs`;
    execFileSync('mksquashfs', [tree, squashfs, '-quiet', '-no-progress', '-all-root'], { stdio: 'ignore' });
    return {
      path: `${this.exportsFolder}/images/${id}`,
      clients: ['10.77.0.0/24'],
      options: ['ro', 'sync', 'no_root_squash', 'no_subtree_check'],
      squashfs,
    };
  }

  get www(): Export {
    const options = ['rw', 'sync', 'nohide', 'no_root_squash', 'subtree_check'];
    return { path: `${this.exportsFolder}/www`, clients: ['10.77.0.0/24'], options };
  }

  start(kind: 'auto' | 'none' = 'auto'): void {
    const script = fileURLToPath(new URL('serve-exports.ts', import.meta.url));
    const folders = [this.exportsFolder, `${this.folder}/generations`, `${this.folder}/state`];
    this.server = this.spawn(process.execPath, script, kind, ...folders);
    assert.ok(this.server.stdout);
    this.#lines = createInterface({ input: this.server.stdout })[Symbol.asyncIterator]();
  }

  /** Applies a list, or with `undefined` only asks for the state. */
  async apply(desired?: readonly Export[]): Promise<Answer> {
    this.server?.stdin?.write(`${desired ? JSON.stringify(desired) : ''}\n`);
    const line = await this.#lines?.next();
    assert.ok(line && !line.done, 'the exporter process ended; set NFS_DEBUG=1 to see why');
    return JSON.parse(line.value);
  }

  async kill(): Promise<void> {
    if (!this.server || this.server.exitCode !== null || this.server.signalCode !== null) return;
    const ended = once(this.server, 'exit');
    this.server.kill('SIGKILL');
    await ended;
  }

  /** Command lines of the processes that live in our network namespace. */
  processes(): Array<{ pid: number; command: string }> {
    const pids = execFileSync('ip', ['netns', 'pids', this.netns], { encoding: 'utf8' })
      .split('\n')
      .filter(Boolean);
    return pids.flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return command === '' ? [] : [{ pid: Number(pid), command }];
      } catch {
        return [];
      }
    });
  }

  /** Loop devices on our files, and mounts below our folder in any mount namespace. */
  remains(): string[] {
    const loops = execFileSync('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'], {
      encoding: 'utf8',
    });
    const mounts = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => {
        try {
          return readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n');
        } catch {
          return [];
        }
      });
    return [...loops.split('\n'), ...mounts].filter((line) => line.includes(this.folder));
  }

  async close(): Promise<void> {
    await this.kill();
    await until('the namespace is empty', () => this.processes().length === 0);
    execFileSync('ip', ['netns', 'del', this.netns]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Polls a condition for 5 s. */
export async function until(what: string, isSo: () => boolean, ms = 5000): Promise<void> {
  for (const deadline = Date.now() + ms; Date.now() < deadline; ) {
    if (isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(isSo(), `${what}, within ${ms} ms`);
}
