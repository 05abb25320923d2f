import {
  createHash,
  createPrivateKey,
  createPublicKey,
  constants as crypto,
  generateKeyPair,
  type KeyObject,
  privateEncrypt,
} from 'node:crypto';
import { access, chmod, constants, link, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { BootKey, BootKeys } from '../model/boot-key.ts';
import { Refusal } from '../model/command.ts';
import { oneAtATime } from '../model/one-at-a-time.ts';

/** The EEPROM knows no other (rpi-eeprom-digest). */
const BITS = 2048;
const OWNER_ONLY = 0o600;
/** RFC 8017 section 9.2, note 1: "this is a SHA-256", before the 32 bytes of it. */
const SHA256_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex');

/** The operator's key in a file of its own, PKCS#8 in PEM, which nobody but its owner may read. */
export class BootKeyFile implements BootKeys {
  readonly #file: string;
  readonly #inTurn = oneAtATime();

  constructor(file: string) {
    this.#file = file;
  }

  async current(): Promise<BootKey | undefined> {
    let text: string;
    let made: Date;
    try {
      await using handle = await open(this.#file, constants.O_RDONLY | constants.O_NOFOLLOW);
      const stat = await handle.stat();
      if ((stat.mode & 0o077) !== 0) throw this.#tooOpen(stat.mode);
      made = stat.mtime;
      text = await handle.readFile('utf8');
    } catch (error) {
      if (error instanceof Refusal) throw error;
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return undefined;
      throw new Refusal(
        `The key file "${this.#file}" cannot be read: ${message}`,
        'It has to belong to the user the service runs as, with mode 600.',
        { cause: error },
      );
    }
    return keyOf(this.#parse(text), made);
  }

  make(replace: boolean): ReturnType<BootKeys['make']> {
    return this.#inTurn(async () => {
      const isThere = await this.#isThere();
      // One that must not be used, since others may have read it, can still be replaced.
      const present = isThere && !replace ? await this.current() : undefined;
      if (present) return { key: present, outcome: 'present' as const };
      const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: BITS });
      await this.#write(privateKey, isThere);
      const key = await this.current();
      if (!key) throw new Error(`${this.#file} vanished`);
      return { key, outcome: isThere ? ('replaced' as const) : ('made' as const) };
    });
  }

  #isThere(): Promise<boolean> {
    return access(this.#file).then(
      () => true,
      () => false,
    );
  }

  async #write(key: KeyObject, hasOld: boolean): Promise<void> {
    const folder = dirname(this.#file);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const temporary = `${this.#file}.new`;
      {
        await using handle = await open(temporary, 'w', OWNER_ONLY);
        await handle.chmod(OWNER_ONLY);
        await handle.writeFile(key.export({ type: 'pkcs8', format: 'pem' }));
        await handle.sync();
      }
      // Who replaced it by mistake has Pis out there that know the old one alone.
      if (hasOld) {
        await rm(`${this.#file}.old`, { force: true });
        await link(this.#file, `${this.#file}.old`);
        await chmod(`${this.#file}.old`, OWNER_ONLY);
      }
      await rename(temporary, this.#file);
      await using directory = await open(folder);
      await directory.sync();
    } catch (error) {
      throw new Refusal(
        `The key file "${this.#file}" cannot be written: ${(error as Error).message}`,
        'Make its folder writable for the user the service runs as.',
        { cause: error },
      );
    }
  }

  #parse(text: string): KeyObject {
    try {
      const key = createPrivateKey(text);
      if (key.asymmetricKeyType === 'rsa' && key.asymmetricKeyDetails?.modulusLength === BITS) return key;
      throw new Error(`it is no RSA key of ${BITS} bits`);
    } catch (error) {
      throw new Refusal(
        `The key file "${this.#file}" is damaged: ${(error as Error).message}`,
        'Put it back from a backup, or make a new key: netboot keys --new',
        { cause: error },
      );
    }
  }

  #tooOpen(mode: number): Refusal {
    return new Refusal(
      `The key file "${this.#file}" is not its owner's alone (mode ${(mode & 0o777).toString(8)})`,
      `Run: chmod 600 ${this.#file}. If somebody may have read it, make a new one: netboot keys --new`,
    );
  }
}

function keyOf(privateKey: KeyObject, made: Date): BootKey {
  const publicKey = createPublicKey(privateKey);
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    fingerprint: createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest('hex'),
    made: made.toISOString(),
    // Not by sign(), which would want all of the content again: this is what it does with its hash.
    sign: (sha256) =>
      privateEncrypt(
        { key: privateKey, padding: crypto.RSA_PKCS1_PADDING },
        Buffer.concat([SHA256_INFO, sha256]),
      ),
  };
}
