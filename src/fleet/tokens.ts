import { createHmac, randomBytes } from 'node:crypto';
import { canReport, type Generation } from '../model/generation.ts';
import type { Instant } from '../model/lease.ts';
import type { Node } from '../model/node.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Serial } from '../net/serial.ts';
import type { Store } from './store.ts';

const KEY = 'secret/boot-token';
const SECRET_BYTES = 32;
/** 132 bits in base64url. */
const TOKEN_CHARACTERS = 22;
/** Nodes take it for granted. */
const DEFAULT_PORT = 8064;

/**
 * The tokens by which nodes prove who they are, once in a boot: a node reads its own in the command line that it was
 * booted with. Nothing is stored of them: a token follows from the node, the address that its command line was fetched
 * from, the moment its boot began, and a secret of ours; so it is the same at every reading and useless from elsewhere.
 */
export class Tokens {
  readonly #secret: Buffer;
  readonly #port: number;

  constructor(secret: Buffer, port: number) {
    this.#secret = secret;
    this.#port = port;
  }

  /** @param port where reports are taken. */
  static async open(store: Store, port: number): Promise<Tokens> {
    const stored = store.get(KEY)?.value as string | undefined;
    if (stored !== undefined) return new Tokens(Buffer.from(stored, 'hex'), port);
    const secret = randomBytes(SECRET_BYTES);
    await store.transact({ writes: [{ kind: 'put', key: KEY, value: secret.toString('hex') }] });
    return new Tokens(secret, port);
  }

  /** `<since, in base 36>.<22 characters of base64url>`: the whole of it is the key that a node signs with. */
  tokenOf(serial: Serial, address: Ipv4, since: Instant): string {
    const moment = since.toString(36);
    const mac = createHmac('sha256', this.#secret)
      .update(`${serial} ${address} ${moment}`)
      .digest('base64url');
    return `${moment}.${mac.slice(0, TOKEN_CHARACTERS)}`;
  }

  /** Words for the command line of a boot that began at `since` and is read from `address`. */
  wordsFor(node: Node, generation: Generation, address: Ipv4, since: Instant): readonly string[] {
    if (!canReport(generation)) return [];
    const token = `netboot.token=${this.tokenOf(node.serial, address, since)}`;
    return this.#port === DEFAULT_PORT ? [token] : [token, `netboot.port=${this.#port}`];
  }
}
