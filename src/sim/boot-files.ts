import type { Ipv4 } from '../net/ipv4.ts';
import type { Fetched, TftpDialect } from './tftp-client.ts';
import { FirmwareFailure, type Wire } from './wire.ts';

/** The boot server's files as one firmware stage sees them: by its TFTP dialect, below its prefix. */
export class BootFiles {
  readonly server: Ipv4;
  readonly prefix: string;
  readonly #wire: Wire;
  readonly #dialect: TftpDialect;
  readonly #answers = new Map<string, string>();

  constructor(wire: Wire, server: Ipv4, dialect: TftpDialect, prefix: string) {
    this.server = server;
    this.prefix = prefix;
    this.#wire = wire;
    this.#dialect = dialect;
  }

  /** The same stage with another prefix. Once resolved, a prefix stays for the whole boot. */
  below(prefix: string): BootFiles {
    return new BootFiles(this.#wire, this.server, this.#dialect, prefix);
  }

  /** Asks whether the file is there and breaks the transfer off. @throws FirmwareFailure when the answer ends the boot. */
  async probe(name: string): Promise<boolean> {
    return (await this.#fetch(name, 'probe')).kind === 'probed';
  }

  /** @returns `undefined` for a missing file. @throws FirmwareFailure when the transfer fails. */
  async read(name: string): Promise<Uint8Array | undefined> {
    const fetched = await this.#fetch(name, 'read');
    return fetched.kind === 'read' ? fetched.bytes : undefined;
  }

  /** Most stages ask for a file before they read it. */
  async probeAndRead(name: string): Promise<Uint8Array | undefined> {
    return (await this.probe(name)) ? this.read(name) : undefined;
  }

  /** A file that must not be there: a server that has it, or answers everything, changes what the Pi boots. */
  async expectMiss(name: string, consequence: string): Promise<void> {
    if (await this.probe(name))
      throw new FirmwareFailure(
        `the server has ${this.prefix}${name}: ${consequence} (raspberrypi/firmware#1012)`,
      );
  }

  /** What the server said when `name` was last asked for, in words. */
  answerTo(name: string): string {
    return this.#answers.get(name) ?? 'not asked for';
  }

  async #fetch(name: string, purpose: 'read' | 'probe'): Promise<Fetched> {
    const path = this.prefix + name;
    const fetched = await this.#wire.fetch(this.server, path, this.#dialect, purpose);
    this.#answers.set(name, fetched.answer);
    const isFatal = fetched.kind === 'silent' && this.#dialect.onSilence === 'fail';
    if (isFatal || fetched.kind === 'broken') {
      const limit = fetched.kind === 'silent' ? ' (TFTP_FILE_TIMEOUT)' : '';
      throw new FirmwareFailure(`TFTP of ${path} from ${this.server} failed: ${fetched.answer}${limit}`);
    }
    return fetched;
  }
}
