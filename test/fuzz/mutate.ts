import type { Random } from './random.ts';

/** Bytes at which lengths, counts and signs turn over. */
const EDGES = [
  0, 1, 2, 3, 4, 6, 7, 8, 15, 16, 17, 31, 32, 63, 64, 127, 128, 129, 252, 253, 254, 255,
] as const;

/** What an input may grow to, unless told: more than a frame carries, less than costs time to make. */
const LONGEST = 2_048;

/**
 * A relative of `bytes`: one or more small injuries, mostly one or two, of the kinds that a hostile or broken sender
 * would make. One in
 * sixteen is left whole, so that what comes after the parser is reached as well.
 * @param others whole inputs of the same kind, to be spliced in.
 */
export function mutate(
  bytes: Uint8Array,
  random: Random,
  others: readonly Uint8Array[],
  longest = LONGEST,
): Uint8Array {
  let mutant = Uint8Array.from(bytes);
  if (random.oneIn(16)) return mutant;
  do mutant = injure(mutant, random, others);
  while (random.oneIn(2));
  return mutant.length > longest ? mutant.subarray(0, longest) : mutant;
}

function injure(bytes: Uint8Array, random: Random, others: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length);
  const own = Uint8Array.from(bytes);
  switch (random.below(12)) {
    case 0: // a bit turned over
      if (own.length > 0) own[at] = (own[at] as number) ^ (1 << random.below(8));
      return own;
    case 1: // any byte
      if (own.length > 0) own[at] = random.below(256);
      return own;
    case 2:
    case 3: // a length or a count that lies
      if (own.length > 0) own[at] = random.pick(EDGES);
      return own;
    case 4: // a little more or less
      if (own.length > 0) own[at] = (own[at] as number) + random.pick([-2, -1, 1, 2]);
      return own;
    case 5: // a word of one byte
      own.fill(random.pick(EDGES), at, at + random.pick([2, 4, 8, 16]));
      return own;
    case 6: // cut off
      return own.slice(0, at);
    case 7: // a piece lost
      return joined(own.subarray(0, at), own.subarray(at + 1 + random.below(16)));
    case 8: // a piece said again, perhaps often: options that repeat, texts without an end
      return repeated(own, at, random);
    case 9: // a piece of another one put in
      return spliced(own, at, random.pick(others), random);
    case 10: // begun as one, ended as another
      return joined(own.subarray(0, at), random.pick(others).subarray(at));
    default: // bytes from nowhere
      return joined(own.subarray(0, at), random.bytes(random.below(24)), own.subarray(at));
  }
}

function repeated(bytes: Uint8Array, at: number, random: Random): Uint8Array<ArrayBuffer> {
  const piece = bytes.subarray(at, at + 1 + random.below(24));
  const times = random.oneIn(8) ? random.below(100) : 1 + random.below(3);
  return joined(bytes.subarray(0, at), ...Array<Uint8Array>(times).fill(piece), bytes.subarray(at));
}

function spliced(bytes: Uint8Array, at: number, other: Uint8Array, random: Random): Uint8Array<ArrayBuffer> {
  const from = random.below(other.length);
  const piece = other.subarray(from, from + 1 + random.below(64));
  const isOver = random.oneIn(2);
  return joined(bytes.subarray(0, at), piece, bytes.subarray(isOver ? at + piece.length : at));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
