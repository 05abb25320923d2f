import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { access, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { readMirrors } from '../../src/imaging/packages/mirror.ts';
import { eventually, REPOSITORY } from './appliance.ts';

/** What takes minutes to make and is the same for every run. */
const CACHE = '/var/cache/netboot/test';
/** npm as Node 20 and 22 bring it. The next major one puts other links into node_modules/.bin. */
const NPM = 'npm@10';
const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LC_ALL: 'C.UTF-8',
  // It has no way out: what npm needs is in the cache that was filled before.
  npm_config_offline: 'true',
};

/**
 * A Debian machine with systemd as its first process, in the network of a rack. It is where netboot is installed; the
 * machine it runs on stays as it is. Everything it makes is gone after `remove`; a killed test run takes it along.
 */
export class Container {
  readonly name: string;
  /** Its root file system, as seen from outside. */
  readonly root: string;
  readonly #folder: string;
  #machine: ChildProcess | undefined;
  /** Its first process, as seen from outside. */
  #leader = '';

  private constructor(name: string, folder: string) {
    this.name = name;
    this.#folder = folder;
    this.root = join(folder, 'root');
  }

  /** @param netns name of the network namespace it is plugged into. */
  static async boot(netns: string): Promise<Container> {
    const [base, npmCache] = [await madeBase(), await filledNpmCache()];
    const container = new Container(netns, await mkdtemp('/var/tmp/netboot-container-'));
    try {
      await mkdir(container.root);
      await execa('tar', ['--extract', '--file', base, '--directory', container.root]);
      await cp(npmCache, join(container.root, 'root/.npm'), { recursive: true });
      await container.#start();
    } catch (error) {
      await container.remove();
      throw error;
    }
    return container;
  }

  async #start(): Promise<void> {
    const nspawn = [
      'systemd-nspawn',
      '--boot',
      `--directory=${this.root}`,
      `--machine=${this.name}`,
      `--network-namespace-path=/run/netns/${this.name}`,
      '--console=pipe',
      '--link-journal=no',
      '--resolv-conf=off',
      // An NFS server opens files so, which nspawn otherwise keeps from its containers.
      '--system-call-filter=open_by_handle_at',
      // No machined here to tell of it, nor a systemd to ask for a scope.
      '--register=no',
      '--keep-unit',
    ];
    const inCgroup = `for tree in ${(await cgroupTrees()).join(' ')}; do
      mkdir -p "$tree/${this.name}" && echo $$ > "$tree/${this.name}/cgroup.procs"; done; exec "$@"`;
    const argv = ['--pdeathsig', 'KILL', '--', 'sh', '-c', inCgroup, 'sh', ...nspawn];
    // cgroup version 2 in there, whatever this machine still has: Debian 13's systemd knows no other.
    const env = { ...process.env, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' };
    const machine = spawn('setpriv', argv, { stdio: ['ignore', 'pipe', 'pipe'], env });
    this.#machine = machine;
    const console = createWriteStream(join(this.#folder, 'console.log'));
    machine.stdout.pipe(console, { end: false });
    machine.stderr.pipe(console, { end: false });
    await eventually(60_000, async () => {
      if (machine.exitCode !== null) throw new Error(`no container: ${await this.console()}`);
      this.#leader = (await readFile(`/proc/${machine.pid}/task/${machine.pid}/children`, 'utf8')).trim();
      const state = await this.run('systemctl', 'is-system-running').catch((error) => String(error.all));
      if (!/running|degraded/.test(state)) throw new Error(`systemd is not up: ${state}`);
    });
  }

  console(): Promise<string> {
    return readFile(join(this.#folder, 'console.log'), 'utf8');
  }

  /** Runs a program in it, as root; gives all it printed. @throws with that, too, when it fails. */
  async run(program: string, ...args: string[]): Promise<string> {
    const spaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--root', '--wdns=/'];
    const argv = ['--target', this.#leader, ...spaces, '--', program, ...args];
    const options = { env: ENVIRONMENT, extendEnv: false, all: true, timeout: 180_000 } as const;
    return (await execa('nsenter', argv, options)).all;
  }

  sh(script: string): Promise<string> {
    return this.run('sh', '-euc', script);
  }

  async remove(): Promise<void> {
    const machine = this.#machine;
    if (machine && machine.exitCode === null && machine.signalCode === null) {
      const ended = once(machine, 'exit');
      machine.kill('SIGTERM'); // it shuts the machine down
      const patience = setTimeout(() => machine.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(patience);
    }
    for (const tree of await cgroupTrees())
      await execa('find', [join(tree, this.name), '-depth', '-type', 'd', '-exec', 'rmdir', '{}', '+'], {
        reject: false,
      });
    await rm(`/run/systemd/nspawn/propagate/${this.name}`, { recursive: true, force: true });
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** The cgroup hierarchies in which systemd keeps its processes: the one of version 2, or those of a mixed setup. */
async function cgroupTrees(): Promise<string[]> {
  const names = await readdir('/sys/fs/cgroup');
  const mixed = ['systemd', 'unified'].filter((name) => names.includes(name));
  return mixed.length > 0 ? mixed.map((name) => `/sys/fs/cgroup/${name}`) : ['/sys/fs/cgroup'];
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * A tarball of Debian with what `scripts/need.sh` installs, Node and npm: what a machine has before
 * `scripts/install.sh`. Of this machine's release, or of NETBOOT_TEST_RELEASE. Made anew when need.sh changes.
 */
async function madeBase(): Promise<string> {
  const needs = await readFile(join(REPOSITORY, 'scripts/need.sh'), 'utf8');
  const release = process.env.NETBOOT_TEST_RELEASE ?? (await ownRelease());
  const base = join(CACHE, `debian-${release}-${hashOf(needs + NPM)}.tar`);
  if (await isThere(base)) return base;
  await mkdir(CACHE, { recursive: true });
  const { main } = await readMirrors('/etc/apt');
  const hooks = [
    `mkdir -p "$1/root/scripts" && cp ${REPOSITORY}/scripts/need.sh "$1/root/scripts/"`,
    'chroot "$1" /root/scripts/need.sh serve build',
    // The kernel's table of foreign programs is one for all containers, and the machine's.
    'chroot "$1" systemctl mask binfmt-support.service systemd-binfmt.service',
    `cp ${process.execPath} "$1/usr/local/bin/node"`,
    `npm install --silent --global --prefix "$1/usr/local" ${NPM}`,
  ];
  const argv = [
    '--variant=minbase',
    '--format=tar',
    '--include=systemd,systemd-sysv,dbus,iproute2,kmod,procps,util-linux,curl',
    '--dpkgopt=path-exclude=/usr/share/doc/*',
    '--dpkgopt=path-exclude=/usr/share/man/*',
    '--dpkgopt=path-exclude=/usr/share/locale/*',
    ...hooks.map((hook) => `--customize-hook=${hook}`),
  ];
  await execa('mmdebstrap', [...argv, release, `${base}.new`, main], { timeout: 15 * 60_000 });
  await rename(`${base}.new`, base);
  return base;
}

/** The code name of this machine's Debian. */
async function ownRelease(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8');
  return /^VERSION_CODENAME=(\w+)$/m.exec(text)?.[1] ?? 'trixie';
}

/** An npm cache with all that package-lock.json names. */
async function filledNpmCache(): Promise<string> {
  const lock = await readFile(join(REPOSITORY, 'package-lock.json'), 'utf8');
  const cache = join(CACHE, `npm-${hashOf(lock)}`);
  if (await isThere(cache)) return cache;
  const folder = await mkdtemp('/var/tmp/netboot-npm-');
  try {
    for (const name of ['package.json', 'package-lock.json', '.npmrc'])
      await writeFile(join(folder, name), await readFile(join(REPOSITORY, name)));
    await rm(`${cache}.new`, { recursive: true, force: true });
    const argv = ['ci', '--silent', '--omit=dev', '--no-audit', '--no-fund', '--cache', `${cache}.new`];
    await execa('npm', argv, { cwd: folder, timeout: 5 * 60_000 });
    await rename(`${cache}.new`, cache);
    return cache;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
