/**
 * The bits of `get_throttled`, in words (raspberrypi/documentation, os/using-linux vcgencmd): those of now, and, 16 bits
 * further up, what has been since the board was started.
 */
const BITS: ReadonlyMap<number, string> = new Map([
  [0, 'its voltage is too low'],
  [1, 'its frequency is capped'],
  [2, 'it is throttled'],
  [3, 'it is at its soft temperature limit'],
  [16, 'its voltage has been too low'],
  [17, 'its frequency has been capped'],
  [18, 'it has been throttled'],
  [19, 'it has been at its soft temperature limit'],
]);

/** One phrase per bit that is set; what is now stands for what has been. */
export function throttlingWords(bits: number): string[] {
  const isSet = (bit: number): boolean => ((bits >>> bit) & 1) === 1;
  return [...BITS].flatMap(([bit, words]) => (isSet(bit) && !(bit >= 16 && isSet(bit - 16)) ? [words] : []));
}
