import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { TOKEN } from './appliance.ts';

/** What nodes have to run. */
export const PROGRAMS = resolve(import.meta.dirname, '../../images/base/rootfs/usr/lib/netboot');

/** For `describe`: the tests of the node's programs make namespaces and mounts. */
export const NODE_TESTS = {
  concurrency: 4,
  skip: process.getuid?.() === 0 ? false : 'needs root',
} as const;

export interface NodeSettings {
  /** Where its appliance is, on this machine. */
  readonly port?: number;
  /** The command line as an appliance wrote it, instead. */
  readonly commandLine?: string;
  /** A network namespace that has an eth0 in a rack. */
  readonly network?: string;
  /** More words of the command line. */
  readonly words?: readonly string[];
  readonly token?: string | undefined;
  /** Shell commands, before the root is sealed; `$1` is a folder on the machine's disk. */
  readonly prelude?: string;
}

/**
 * For a prelude: in place of systemctl, as nothing here is started by systemd. It says what stands in /run/systemd-state,
 * /run/failed and /run/active, and keeps what it was told in /run/told.
 */
export const TOLD_SYSTEMCTL = `cat >"$1/systemctl" <<'EOS'
#!/bin/sh
echo "$*" >>/run/told
case "$*" in
  is-system-running) cat /run/systemd-state ;;
  list-units*failed*) cat /run/failed ;;
  is-active*) grep -qx "$4" /run/active ;;
  *isolate*) case $4 in missing.*) exit 5 ;; esac ;;
  reboot) [ ! -e /run/hangs ] || exit 1 ;;
esac
EOS
chmod +x "$1/systemctl"
mount --bind "$1/systemctl" /usr/bin/systemctl
touch /run/systemd-state /run/failed /run/active /run/told`;

/** How a program ended, and what it said. */
export interface Ended {
  readonly exitCode: number | undefined;
  readonly stderr: string;
}

/**
 * The view that a node's programs have of their machine, in a mount namespace of its own: a kernel's command line, an
 * empty /run, a root that nobody can write to. Real paths, so that the programs run as they are.
 */
export class NodeNamespace {
  readonly #holder: ChildProcess;
  readonly #folder: string;

  private constructor(holder: ChildProcess, folder: string) {
    this.#holder = holder;
    this.#folder = folder;
  }

  static async make({
    port,
    commandLine,
    network,
    words = [],
    token = TOKEN,
    prelude = '',
  }: NodeSettings): Promise<NodeNamespace> {
    const folder = await mkdtemp(join(tmpdir(), 'netboot-node-'));
    const line = [
      'console=tty1 root=/dev/nfs',
      'nfsroot=127.0.0.1:/exports/images/web-0123456789ab,vers=3,nocto,acregmin=600 ro ip=dhcp rootwait',
      'systemd.hostname=anna systemd.machine_id=6e6574626f6f400080000000b4c5d6e7',
      ...words,
      ...(token === '' ? [] : [`netboot.token=${token}`]),
      `netboot.port=${port}`,
    ];
    await writeFile(join(folder, 'cmdline'), commandLine ?? `${line.join(' ')}\n`);
    // The image's folders, as /srv: sealed ones, and one that fstab makes of memory.
    await mkdir(join(folder, 'image/app'), { recursive: true });
    await mkdir(join(folder, 'image/memory'));
    await writeFile(join(folder, 'image/app/settings'), 'of the image\n');
    const script = [
      'set -eu',
      'mount -t tmpfs -o mode=755 run /run',
      'mount --bind "$1/cmdline" /proc/cmdline',
      'echo sealed >"$1/image/identity"; echo mounted >"$1/identity"',
      'mount --bind "$1/image" /srv',
      prelude,
      'mount -o remount,bind,ro /srv',
      'mount --bind "$1/identity" /srv/identity',
      '! mountpoint -q /srv/memory && mount -t tmpfs -o mode=755 memory /srv/memory',
      'mount -o remount,bind,ro /',
      'echo ready',
      'exec sleep infinity',
    ].join('\n');
    const argv = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', folder];
    const inNetwork = network === undefined ? [] : ['netns', 'exec', network];
    const holder = spawn(network === undefined ? 'env' : 'ip', [...inNetwork, ...argv], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [first] = await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')]);
    if (!Buffer.isBuffer(first)) throw new Error(`the node's namespace was not made (${first})`);
    return new NodeNamespace(holder, folder);
  }

  #argv(...argv: string[]): string[] {
    return ['--target', String(this.#holder.pid), '--mount', '--net', '--', ...argv];
  }

  /** Runs a shell command on the node; gives what it printed. */
  async shell(command: string): Promise<string> {
    return (await execa('nsenter', this.#argv('sh', '-euc', command))).stdout;
  }

  /** Runs one of the node's programs to its end. */
  async run(program: string): Promise<Ended> {
    const argv = this.#argv('perl', '-w', `-I${PROGRAMS}`, join(PROGRAMS, program));
    const { exitCode, stderr } = await execa('nsenter', argv, { reject: false, timeout: 60_000 });
    return { exitCode, stderr };
  }

  /** Runs a text as they run; gives what it printed. */
  async perl(text: string): Promise<string> {
    return (await execa('nsenter', this.#argv('perl', '-w', `-I${PROGRAMS}`, '-e', text))).stdout;
  }

  /** Starts one of them; what it says to the journal goes to the callback. */
  start(program: string, onSaid: (text: string) => void): ChildProcess {
    const argv = this.#argv('perl', '-w', `-I${PROGRAMS}`, join(PROGRAMS, program));
    const child = spawn('nsenter', argv, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.setEncoding('utf8').on('data', onSaid);
    return child;
  }

  async remove(): Promise<void> {
    const gone = once(this.#holder, 'exit');
    this.#holder.kill('SIGKILL');
    await gone;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
