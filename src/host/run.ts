import { ExecaError, execa } from 'execa';
import { CommandError, type CommandOptions, Refusal } from '../model/command.ts';
import { eachLine } from './each-line.ts';

/** Debian package that brings each program we run, for the remedy when one is missing. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  cpio: 'cpio',
  modprobe: 'kmod',
  depmod: 'kmod',
  modinfo: 'kmod',
  xz: 'xz-utils',
  mksquashfs: 'squashfs-tools',
  unsquashfs: 'squashfs-tools',
  'qemu-aarch64-static': 'qemu-user-static',
  'qemu-arm-static': 'qemu-user-static',
  'update-binfmts': 'binfmt-support',
  'qemu-system-aarch64': 'qemu-system-arm',
  'ganesha.nfsd': 'nfs-ganesha nfs-ganesha-vfs',
  rpcbind: 'rpcbind',
  exportfs: 'nfs-kernel-server',
  ip: 'iproute2',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  systemctl: 'systemd',
  zstd: 'zstd',
  perl: 'perl-base',
  chattr: 'e2fsprogs',
  sfdisk: 'fdisk',
  debugfs: 'e2fsprogs',
  mcopy: 'mtools',
  mtype: 'mtools',
  'ssh-keygen': 'openssh-client',
};

const SBIN = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Runs a program of this machine; implements the `Run` port. @throws CommandError, or Refusal when it is not installed. */
export async function run(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const argv = [program, ...args];
  const child = execa(program, args, {
    extendEnv: false,
    env: { PATH: SBIN, LC_ALL: 'C.UTF-8', ...options.env },
    ...(options.cwd ? { cwd: options.cwd } : {}),
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    ...(options.signal ? { cancelSignal: options.signal } : {}),
    ...(options.killSignal ? { killSignal: options.killSignal } : {}),
    ...(options.timeoutMs ? { timeout: options.timeoutMs } : {}),
    all: options.onLine !== undefined,
    maxBuffer: 64 * 1024 * 1024,
  });
  try {
    if (options.onLine)
      await eachLine(child.iterable({ from: 'all', binary: true }), options.onLine, options.promptMs);
    return (await child).stdout.trim();
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error;
    throw describeFailure(program, argv, error);
  }
}

function describeFailure(program: string, argv: readonly string[], error: ExecaError): Error {
  const stderrTail = String(error.stderr ?? '')
    .trim()
    .split('\n')
    .slice(-10)
    .join('\n');
  if (error.code === 'ENOENT' && !error.exitCode) {
    const packages = PACKAGE_OF[program];
    const remedy = packages ? `Install it: apt-get install ${packages}` : 'Install the package that has it.';
    return new Refusal(`The program "${program}" is not installed`, remedy, { cause: error });
  }
  const how = error.timedOut
    ? 'took too long'
    : error.isCanceled
      ? 'was stopped'
      : `failed (exit ${error.exitCode ?? error.signal})`;
  const details = { argv, exitCode: error.exitCode, stderrTail };
  return new CommandError(`"${argv.join(' ')}" ${how}${stderrTail ? `: ${stderrTail}` : ''}`, details, {
    cause: error,
  });
}
