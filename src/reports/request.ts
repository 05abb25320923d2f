import { WireError } from '../net/bytes.ts';
import { MAC_HEADER } from './mac.ts';
import { MOST_REQUEST_BYTES } from './message.ts';

/** One request, as it came. */
export interface Request {
  readonly method: string;
  readonly path: string;
  /** The value of Netboot-Mac; absent when the header is not there, or no MAC. */
  readonly mac: string | undefined;
  readonly body: Buffer;
}

/** A request is not answered, whoever it is from: the status says why. */
export class BadRequest extends Error {
  override readonly name = 'BadRequest';
  readonly status: 400 | 411 | 413 | 431;

  constructor(status: BadRequest['status'], message: string) {
    super(message);
    this.status = status;
  }
}

const MOST_HEAD_BYTES = 4096;
const END_OF_HEAD = '\r\n\r\n';

/**
 * Reads one request of a connection, in whatever pieces it comes: so much of HTTP/1.1 (RFC 9112) as nodes speak, and nothing that
 * would have to be guessed. Node's own server makes two streams and a parser of each, for a minute: a thousand nodes that
 * wait took 13 MB and twice the time with it.
 */
export class RequestReader {
  #bytes: Buffer = Buffer.alloc(0);
  #head: (Omit<Request, 'body'> & { readonly bodyBytes: number }) | undefined;

  /** @returns the request, once it is whole. @throws BadRequest as soon as it is clear that it never will be. */
  add(chunk: Buffer): Request | undefined {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (!this.#head) {
      const end = this.#bytes.subarray(0, MOST_HEAD_BYTES).indexOf(END_OF_HEAD);
      if (end < 0 && this.#bytes.length >= MOST_HEAD_BYTES) throw new BadRequest(431, 'the head is too long');
      if (end < 0) {
        const [first, ...more] = this.#bytes.toString('latin1').split('\r\n');
        if (more.length > 0) parseFirst(first);
        return undefined;
      }
      this.#head = parseHead(this.#bytes.toString('latin1', 0, end));
      this.#bytes = this.#bytes.subarray(end + END_OF_HEAD.length);
    }
    const { bodyBytes, ...head } = this.#head;
    if (this.#bytes.length > bodyBytes) throw new BadRequest(400, 'there is more behind the request');
    return this.#bytes.length === bodyBytes ? { ...head, body: this.#bytes } : undefined;
  }
}

function parseHead(text: string): Omit<Request, 'body'> & { bodyBytes: number } {
  const [first = '', ...lines] = text.split('\r\n');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name, value = ''] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined) throw new BadRequest(400, 'a line of the head is no header');
    const key = name.toLowerCase();
    // Which one counts would have to be guessed (RFC 9112 section 6.3).
    if (headers.has(key) && key === 'content-length') throw new BadRequest(400, 'there are two lengths');
    headers.set(key, value);
  }
  if (headers.has('transfer-encoding')) throw new BadRequest(411, 'the length of the body is not told');
  const length = headers.get('content-length') ?? '0';
  if (!/^\d{1,9}$/.test(length)) throw new BadRequest(400, `"${length}" is no length`);
  const bodyBytes = Number(length);
  if (bodyBytes > MOST_REQUEST_BYTES)
    throw new BadRequest(413, `the body is longer than ${MOST_REQUEST_BYTES} bytes`);
  const mac = headers.get(MAC_HEADER.toLowerCase());
  return {
    ...parseFirst(first),
    bodyBytes,
    mac: mac !== undefined && /^[0-9a-f]{64}$/.test(mac) ? mac : undefined,
  };
}

function parseFirst(line = ''): Pick<Request, 'method' | 'path'> {
  const [, method, path] = /^([A-Z]{1,20}) ([!-~]+) HTTP\/1\.[01]$/.exec(line) ?? [];
  if (!method || !path) throw new BadRequest(400, 'the first line is none of HTTP/1.1');
  return { method, path };
}

/** The MAC that every request must have. @throws WireError */
export function macIn({ mac }: Request): string {
  if (mac === undefined) throw new WireError(`the header ${MAC_HEADER} is missing, or not 64 hex digits`);
  return mac;
}
