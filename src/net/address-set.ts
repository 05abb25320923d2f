import type { Ipv4 } from './ipv4.ts';
import { ipv4FromNumber, ipv4ToNumber } from './ipv4.ts';

/** Addresses of one word. */
const WORD = 32;
const FULL = 0xffffffff;

/** A set of addresses, one bit each, in which a gap is found by looking at 32 addresses at a time. */
export class AddressSet {
  /** By the address's upper 27 bits. */
  readonly #words = new Map<number, number>();

  add(address: Ipv4): void {
    const number = ipv4ToNumber(address);
    const index = Math.floor(number / WORD);
    this.#words.set(index, ((this.#words.get(index) ?? 0) | bit(number)) >>> 0);
  }

  delete(address: Ipv4): void {
    const number = ipv4ToNumber(address);
    const index = Math.floor(number / WORD);
    const word = ((this.#words.get(index) ?? 0) & ~bit(number)) >>> 0;
    if (word === 0) this.#words.delete(index);
    else this.#words.set(index, word);
  }

  /** The addresses from `first` to `last` that are not in the set, both ends included, in order. */
  *absent(first: number, last: number): Generator<Ipv4> {
    for (let number = first; number <= last; ) {
      const word = this.#words.get(Math.floor(number / WORD)) ?? 0;
      if (word === FULL) {
        number += WORD - (number % WORD);
        continue;
      }
      if ((word & bit(number)) === 0) yield ipv4FromNumber(number);
      number += 1;
    }
  }
}

const bit = (number: number): number => (1 << (number % WORD)) >>> 0;
