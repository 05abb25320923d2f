import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { type Appliance, eventually, REPOSITORY } from './appliance.ts';

/** Booting under emulation, two Pis on two cores. */
const BOOT_MS = 8 * 60_000;

/** A key pair for the tests' way into the booted Pis; made per run, in the appliance's folder. */
export async function makeKey(appliance: Appliance): Promise<string> {
  const key = join(appliance.folder, 'id_ed25519');
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  return key;
}

/** A virtual Pi switched on by `netboot sim … --boot`: firmware first, then QEMU with what it fetched. */
export class VirtualPi {
  readonly serial: string;
  readonly #appliance: Appliance;
  readonly #key: string;
  readonly #process: ChildProcess;
  readonly #consoleFile: string;
  address = '';

  /** @param life `once`: it ends with its first reset or panic; `lives`: as a real one; `outlet`: with its power to be switched, too. */
  constructor(
    appliance: Appliance,
    model: 'pi3' | 'pi4' | 'pi5',
    serial: string,
    key: string,
    life: 'once' | 'lives' | 'outlet' = 'once',
  ) {
    this.#appliance = appliance;
    this.serial = serial;
    this.#key = key;
    this.#consoleFile = join(appliance.folder, `${serial}.log`);
    const argv = [
      'sim',
      model,
      '--serial',
      serial,
      '--rack',
      appliance.rack,
      '--boot',
      '--ssh-key',
      `${key}.pub`,
      ...{ once: ['--once'], lives: [], outlet: ['--outlet'] }[life],
    ];
    this.#process = spawn(join(REPOSITORY, 'scripts/netboot'), argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(this.#consoleFile);
    this.#process.stdout?.pipe(log, { end: false });
    this.#process.stderr?.pipe(log, { end: false });
  }

  /** What its firmware and its serial console said. */
  console(): Promise<string> {
    return readFile(this.#consoleFile, 'utf8');
  }

  async #alive(): Promise<void> {
    if (this.#process.exitCode === null) return;
    const tail = (await this.console()).split('\n').slice(-40).join('\n');
    throw new PowerLoss(`the virtual Pi ${this.serial} ended with ${this.#process.exitCode}:\n${tail}`);
  }

  /** Waits until it lets us in, and says what it printed when it does not. */
  async up(): Promise<void> {
    try {
      await eventually(BOOT_MS, async () => {
        await this.#alive();
        await this.run('true');
      });
    } catch (error) {
      const tail = (await this.console()).split('\n').slice(-60).join('\n');
      throw new Error(`the virtual Pi ${this.serial} (${this.address}) did not come up:\n${tail}`, {
        cause: error,
      });
    }
  }

  /** Runs a shell command inside the booted Pi, as root; gives what it printed. */
  run(command: string): Promise<string> {
    const options = [
      'StrictHostKeyChecking=no',
      'UserKnownHostsFile=/dev/null',
      'ConnectTimeout=20',
      'LogLevel=ERROR',
    ];
    const flags = options.flatMap((option) => ['-o', option]);
    return this.#appliance.inRack('ssh', '-i', this.#key, ...flags, `root@${this.address}`, command);
  }

  /** Cuts its power. */
  async off(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
  }
}

class PowerLoss extends Error {
  override readonly name = 'PowerLoss';
}
