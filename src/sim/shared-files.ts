import { type BlockSink, CollectedBlocks } from './tftp-client.ts';

/** What is known of a file so far, from whichever Pi got furthest. */
interface Canvas {
  bytes: Buffer;
  known: number;
  /** Once a Pi has had it to the end. */
  length: number | undefined;
}

const FIRST_ROOM = 64 * 1024;

/**
 * The files of many Pis that boot the same image, kept once: what a Pi receives is compared, block by block, with what
 * others received at that place, so that a wrong byte fails a boot and a fleet needs the memory of one boot. Text
 * (config.txt, cmdline.txt and what they include) may differ from node to node and is left out of it.
 */
export class SharedFiles {
  readonly #canvases = new Map<string, Canvas>();

  /** @param path as it is asked for: the prefix `<serial>/` and doubled slashes make no difference. */
  sink(path: string, serial: string): BlockSink {
    const name = (path.startsWith(`${serial}/`) ? path.slice(serial.length + 1) : path).replace(/^\/+/, '');
    if (name.endsWith('.txt')) return new CollectedBlocks();
    const known = this.#canvases.get(name);
    if (known) return new ComparedBlocks(known);
    const canvas = { bytes: Buffer.alloc(FIRST_ROOM), known: 0, length: undefined };
    this.#canvases.set(name, canvas);
    return new ComparedBlocks(canvas);
  }
}

class ComparedBlocks implements BlockSink {
  readonly #canvas: Canvas;
  #offset = 0;

  constructor(canvas: Canvas) {
    this.#canvas = canvas;
  }

  write(bytes: Uint8Array, start: number, length: number): string | undefined {
    const canvas = this.#canvas;
    const offset = this.#offset;
    const end = offset + length;
    const overlap = Math.min(end, canvas.known);
    if (
      overlap > offset &&
      canvas.bytes.compare(bytes, start, start + overlap - offset, offset, overlap) !== 0
    )
      return `other bytes than another Pi got, between ${offset} and ${overlap}`;
    if (end > canvas.known) {
      if (end > canvas.bytes.length) {
        const grown = Buffer.alloc(Math.max(end, canvas.bytes.length * 2));
        canvas.bytes.copy(grown, 0, 0, canvas.known);
        canvas.bytes = grown;
      }
      canvas.bytes.set(bytes.subarray(start, start + length), offset);
      canvas.known = end;
    }
    this.#offset = end;
    return undefined;
  }

  finish(): Uint8Array | string {
    const canvas = this.#canvas;
    canvas.length ??= this.#offset;
    if (canvas.length !== this.#offset || canvas.known > this.#offset)
      return `${this.#offset} bytes, another Pi got ${Math.max(canvas.length, canvas.known)}`;
    return canvas.bytes.subarray(0, canvas.length);
  }
}
