/**
 * Finds a number (not negative) by a peer's address and port, for every datagram that comes: a hash table with open
 * addressing in typed arrays, that makes nothing the garbage collector would have to look at.
 */
export class PeerTable {
  readonly #mask: number;
  readonly #seed: number;
  readonly #addresses: Int32Array;
  readonly #ports: Int32Array;
  /** 0: empty; else the number + 1. */
  readonly #values: Int32Array;
  size = 0;

  /** @param most how many peers there will be at most. @param seed keeps senders from choosing what collides. */
  constructor(most: number, seed: number) {
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(4, most * 2)));
    this.#mask = capacity - 1;
    this.#seed = seed | 0;
    this.#addresses = new Int32Array(capacity);
    this.#ports = new Int32Array(capacity);
    this.#values = new Int32Array(capacity);
  }

  /** -1 when the peer is not in the table. */
  get(address: number, port: number): number {
    return (this.#values[this.#find(address, port)] as number) - 1;
  }

  set(address: number, port: number, value: number): void {
    const at = this.#find(address, port);
    if (this.#values[at] === 0) this.size += 1;
    this.#addresses[at] = address;
    this.#ports[at] = port;
    this.#values[at] = value + 1;
  }

  delete(address: number, port: number): void {
    let hole = this.#find(address, port);
    if (this.#values[hole] === 0) return;
    this.size -= 1;
    // Whoever was pushed on by the one that goes moves back, so that no search ends at the hole.
    for (let at = (hole + 1) & this.#mask; this.#values[at] !== 0; at = (at + 1) & this.#mask) {
      const home = this.#hash(this.#addresses[at] as number, this.#ports[at] as number);
      if (((at - home) & this.#mask) < ((at - hole) & this.#mask)) continue;
      this.#addresses[hole] = this.#addresses[at] as number;
      this.#ports[hole] = this.#ports[at] as number;
      this.#values[hole] = this.#values[at] as number;
      hole = at;
    }
    this.#values[hole] = 0;
  }

  #find(address: number, port: number): number {
    const word = address | 0;
    let at = this.#hash(word, port);
    while (this.#values[at] !== 0 && (this.#addresses[at] !== word || this.#ports[at] !== port)) {
      at = (at + 1) & this.#mask;
    }
    return at;
  }

  #hash(address: number, port: number): number {
    let hash = Math.imul(address ^ this.#seed, 0x9e3779b1) ^ Math.imul(port + this.#seed, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
    return (hash ^ (hash >>> 13)) & this.#mask;
  }
}
