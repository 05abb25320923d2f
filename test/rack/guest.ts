import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { execa } from 'execa';
import { type Appliance, eventually } from './appliance.ts';

const KEY_MS = 100;

/** What a machine that is no Pi starts with, out of Debian's packages: none of it was written here. */
const MACHINES = {
  /** SeaBIOS, and iPXE as the network card's own ROM. */
  bios: {
    program: 'qemu-system-x86_64',
    args: ['-M', 'pc,graphics=off', '-m', '1024', '-vga', 'none'],
    hasRom: true,
  },
  'uefi-x64': {
    program: 'qemu-system-x86_64',
    args: ['-M', 'q35', '-m', '1024', '-vga', 'none', '-device', 'virtio-rng-pci'],
    flash: ['/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd'],
  },
  'uefi-arm64': {
    program: 'qemu-system-aarch64',
    args: ['-M', 'virt', '-cpu', 'cortex-a72', '-m', '1024', '-device', 'virtio-rng-pci'],
    flash: ['/usr/share/AAVMF/AAVMF_CODE.fd', '/usr/share/AAVMF/AAVMF_VARS.fd'],
  },
  'u-boot': {
    program: 'qemu-system-aarch64',
    args: [
      '-M',
      'virt',
      '-cpu',
      'cortex-a72',
      '-m',
      '1024',
      '-bios',
      '/usr/lib/u-boot/qemu_arm64/u-boot.bin',
    ],
    // U-Boot 2023.01 takes every virtio card for 52:52:52:52:52:52.
    card: 'e1000',
  },
} as const satisfies Record<string, Machine>;

interface Machine {
  readonly program: string;
  readonly args: readonly string[];
  /** The network card has QEMU's own ROM, which is iPXE; otherwise none, and the firmware brings the driver. */
  readonly hasRom?: true;
  /** The network card, unless virtio's. */
  readonly card?: string;
  /** UEFI's program and the store of its variables, of which each machine gets a copy. */
  readonly flash?: readonly [code: string, variables: string];
}

export type MachineKind = keyof typeof MACHINES;

/** A virtual machine plugged into the rack's bridge, with firmware of its own, that boots from the network. */
export class Guest {
  readonly #appliance: Appliance;
  readonly #tap: string;
  readonly #process: ChildProcess;
  readonly #consoleFile: string;

  private constructor(appliance: Appliance, tap: string, process: ChildProcess, consoleFile: string) {
    this.#appliance = appliance;
    this.#tap = tap;
    this.#process = process;
    this.#consoleFile = consoleFile;
  }

  /** @param extra of QEMU's arguments. */
  static async powerOn(
    appliance: Appliance,
    kind: MachineKind,
    mac: string,
    extra: readonly string[] = [],
  ): Promise<Guest> {
    const machine: Machine = MACHINES[kind];
    const tap = `vm${mac.replaceAll(':', '').slice(-8)}`;
    const inRack = ['-n', `nb-${appliance.rack}`];
    await execa('ip', [...inRack, 'tuntap', 'add', 'dev', tap, 'mode', 'tap']);
    await execa('ip', [...inRack, 'link', 'set', tap, 'master', 'br0', 'up']);
    const consoleFile = join(appliance.folder, `${tap}.log`);
    const argv = [
      ...machine.args,
      ...(await flashArguments(machine, join(appliance.folder, `${tap}.vars`))),
      ...['-netdev', `tap,id=n0,ifname=${tap},script=no,downscript=no`],
      ...[
        '-device',
        `${machine.card ?? 'virtio-net-pci'},netdev=n0,mac=${mac},bootindex=1${machine.hasRom ? '' : ',romfile='}`,
      ],
      ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot', ...extra],
    ];
    const confined = ['netns', 'exec', `nb-${appliance.rack}`, 'setpriv', '--pdeathsig', 'KILL'];
    const process = spawn('ip', [...confined, machine.program, ...argv], { stdio: 'pipe' });
    const log = createWriteStream(consoleFile);
    process.stdout.pipe(log, { end: false });
    process.stderr.pipe(log, { end: false });
    return new Guest(appliance, tap, process, consoleFile);
  }

  /** All that its firmware and its system printed, without colours and cursor movements. */
  async console(): Promise<string> {
    return stripVTControlCharacters(await readFile(this.#consoleFile, 'utf8')).replace(/\r/g, '');
  }

  /** Waits until it prints something like this; says what it did print when it does not. */
  async prints(pattern: RegExp, withinMs: number): Promise<RegExpExecArray> {
    return eventually(withinMs, async () => {
      const text = await this.console();
      const found = pattern.exec(text);
      if (found) return found;
      const state = this.#process.exitCode === null ? 'runs' : `ended with ${this.#process.exitCode}`;
      throw new Error(`the machine ${state} and did not print ${pattern}:\n${text.slice(-3_000)}`);
    });
  }

  /** Keys on its console, as slowly as a person: SeaBIOS loses what comes faster. */
  async type(text: string): Promise<void> {
    for (const key of text) {
      this.#process.stdin?.write(key);
      await sleep(KEY_MS);
    }
  }

  async off(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      await ended;
    }
    await execa('ip', ['-n', `nb-${this.#appliance.rack}`, 'link', 'delete', this.#tap]);
  }
}

async function flashArguments(machine: Machine, variables: string): Promise<string[]> {
  if (!machine.flash) return [];
  await copyFile(machine.flash[1], variables);
  return [
    ...['-drive', `if=pflash,format=raw,readonly=on,file=${machine.flash[0]}`],
    ...['-drive', `if=pflash,format=raw,file=${variables}`],
  ];
}
