/** Bytes ended before the field that was to be read, or a field holds what its format forbids. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

/** A bounds-checked reader over received bytes. It never copies and never allocates from a length on the wire. */
export class ByteReader {
  #offset = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /** The next `length` bytes as a view. @throws WireError naming `field` when fewer are left. */
  take(length: number, field: string): Uint8Array {
    if (length > this.remaining) {
      throw new WireError(`${field} needs ${length} bytes, ${this.remaining} are left`);
    }
    const view = this.#bytes.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return view;
  }

  u8(field: string): number {
    return this.take(1, field)[0] as number;
  }

  /** Network byte order, as all the fields below. */
  u16(field: string): number {
    const [high, low] = this.take(2, field) as unknown as [number, number];
    return high * 0x100 + low;
  }

  u32(field: string): number {
    return this.u16(field) * 0x10000 + this.u16(field);
  }
}

/** ASCII bytes as text, byte by byte: nothing a sender writes can make it throw. */
export function asciiFromBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
