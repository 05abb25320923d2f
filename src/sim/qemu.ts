import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { CommandError, type Run } from '../model/command.ts';
import type { Board } from './board.ts';
import { fetchedFiles } from './firmware-process.ts';
import { kernelFormat } from './kernel-image.ts';
import { faultOfPi5Network } from './pi5-ethernet.ts';
import { Qmp } from './qmp.ts';

export interface QemuOptions {
  readonly namespace: string;
  readonly board: Board;
  /** Where the firmware left what it fetched. */
  readonly folder: string;
  readonly memoryMiB: number;
  /** Public key that may log in as root, given to systemd as a credential. */
  readonly authorizedKey?: string;
  readonly logFile: string;
  /** A kernel that panics and stays so counts as failed. Without it such a machine hangs until it is stopped, as a Pi does. */
  readonly endsOnPanic: boolean;
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

export type QemuOutcome =
  | { readonly kind: 'powered-off' }
  /** The guest reset itself: it rebooted, or its kernel panicked and has `panic=SECONDS`. */
  | { readonly kind: 'reset'; readonly why: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** A panic's message comes out line by line. */
const PANIC_TEXT_MS = 1_000;

/** A console that is silent in the middle of a line is at a prompt; an emulated machine may stop for moments. */
const PROMPT_MS = 500;

/**
 * Starts the fetched kernel, initramfs and command line, byte for byte, in a virtual machine on the Pi's own cable
 * and with its MAC address; ends when that powers off or resets. The machine is QEMU's `virt`, not a Pi: the
 * devices and the device tree are QEMU's.
 */
export async function bootInQemu(run: Run, options: QemuOptions): Promise<QemuOutcome> {
  const files = fetchedFiles(options.folder);
  const kernel = await readFile(files.kernel);
  const format = kernelFormat(kernel);
  if (!format.startsWith('arm64'))
    return { kind: 'failed', reason: `the kernel is no arm64 Image (${format}): nothing to start in QEMU` };
  if (options.board.model === 'pi5') {
    const initramfs = await readFile(files.initramfs).catch(() => undefined);
    const reason = faultOfPi5Network(kernel, initramfs);
    if (reason) return { kind: 'failed', reason };
  }
  await bridgeToTap(run, options.namespace);
  const argv = await qemuArguments(options);

  const log = createWriteStream(options.logFile, { flags: 'a' });
  const ended = new AbortController();
  const qmpFile = join(options.folder, 'qmp');
  const panic = new Panic(await readFile(files.cmdline, 'latin1'), options.endsOnPanic);
  const opening = Qmp.open(qmpFile, ended.signal);
  const onLine = (raw: string) => {
    const line = withoutControls(raw);
    log.write(`${line}\n`);
    options.print(line);
    panic.read(line);
  };
  const signal = AbortSignal.any([options.signal, panic.signal]);
  try {
    const inNamespace = ['netns', 'exec', options.namespace, 'setpriv', '--pdeathsig', 'KILL'];
    const running = run(
      'ip',
      [...inNamespace, 'qemu-system-aarch64', ...argv, ...monitorArguments(qmpFile)],
      {
        onLine,
        promptMs: PROMPT_MS,
        signal,
        killSignal: 'SIGKILL',
      },
    );
    void running.catch(() => {}).finally(() => ended.abort());
    const qmp = await opening;
    qmp?.begin();
    panic.onHang = () => qmp?.hold();
    await running;
    await qmp?.closed;
    if (qmp?.shutdown !== 'guest-reset') return { kind: 'powered-off' };
    return { kind: 'reset', why: panic.text ?? 'it rebooted' };
  } catch (error) {
    if (panic.text === undefined || !panic.signal.aborted || !(error instanceof CommandError)) throw error;
    return { kind: 'failed', reason: panic.text };
  } finally {
    panic.forget();
    log.end();
    await once(log, 'close');
    await rm(qmpFile, { force: true });
  }
}

/** Watches the console for a kernel's last words. */
class Panic {
  text: string | undefined;
  /** It stays as it is. Called once its message is out: a machine that only spins need not do so at this one's expense. */
  onHang = () => {};
  readonly #resets: boolean;
  readonly #isEnd: boolean;
  readonly #ended = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  /** A machine that stalls in the middle of a line gives it in two, as if it were at a prompt. */
  #before = '';

  constructor(cmdline: string, isEnd: boolean) {
    this.#resets = /(^|\s)panic=-?[1-9]/.test(cmdline);
    this.#isEnd = isEnd;
  }

  /** Aborted when a panic is to end the machine. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  read(line: string): void {
    const found = /Kernel panic - not syncing.*/.exec(this.#before + line)?.[0];
    this.#before = line;
    if (found === undefined || this.text !== undefined) return;
    this.text = found;
    if (!this.#isEnd && this.#resets) return;
    this.#timer = setTimeout(() => (this.#isEnd ? this.#ended.abort() : this.onHang()), PANIC_TEXT_MS);
  }

  forget(): void {
    clearTimeout(this.#timer);
  }
}

/** Held (`-S`) until somebody hears what it tells. */
function monitorArguments(socket: string): string[] {
  return ['-S', '-qmp', `unix:${socket.replaceAll(',', ',,')},server=on,wait=off`];
}

/** The firmware's interface becomes a mere cable between the rack and the machine, which has the MAC from now on. */
async function bridgeToTap(run: Run, namespace: string): Promise<void> {
  const link = (...args: string[]) => run('ip', ['-n', namespace, 'link', ...args]);
  await run('ip', ['-n', namespace, 'address', 'flush', 'dev', 'eth0']);
  await link('set', 'eth0', 'address', '02:4e:42:00:00:02');
  await link('add', 'br0', 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0', 'mcast_snooping', '0');
  await run('ip', ['-n', namespace, 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap']);
  for (const port of ['eth0', 'tap0']) await link('set', port, 'master', 'br0', 'up');
  await link('set', 'br0', 'up');
}

async function qemuArguments(options: QemuOptions): Promise<string[]> {
  const files = fetchedFiles(options.folder);
  const hasInitramfs = await stat(files.initramfs).then(
    () => true,
    () => false,
  );
  const cmdline = firmwareCmdline(await readFile(files.cmdline, 'latin1'));
  const key = options.authorizedKey?.trim().replaceAll(',', ',,'); // QEMU's way to write a comma
  const credential = `name=opt/io.systemd.credentials/ssh.authorized_keys.root,string=${key}`;
  return [
    ...['-M', 'virt', '-cpu', 'cortex-a72', '-smp', '2', '-m', String(options.memoryMiB)],
    ...['-kernel', files.kernel, ...(hasInitramfs ? ['-initrd', files.initramfs] : []), '-append', cmdline],
    ...['-netdev', 'tap,id=n0,ifname=tap0,script=no,downscript=no'],
    ...['-device', `virtio-net-pci,netdev=n0,mac=${options.board.mac},romfile=`],
    ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot'],
    ...(key ? ['-fw_cfg', credential] : []),
  ];
}

/** Firmware replaces `serial0` by the UART it chose (config_txt documentation); on this machine that is ttyAMA0. */
export function firmwareCmdline(fetched: string): string {
  return fetched.trim().replace(/\bconsole=serial0\b/g, 'console=ttyAMA0');
}

/** A console line without colours, cursor movements and carriage returns. */
function withoutControls(line: string): string {
  return stripVTControlCharacters(line).replace(/\p{Cc}/gu, '');
}
