/**
 * One text for all spellings of a value: JSON with the keys of every map in order (by UTF-16 code unit), without blanks;
 * keys whose value is `undefined` are left out. Two recipes that differ in comments, style or the order of keys are read
 * to values whose canonical texts are equal; the order of lists stays, as it means something.
 */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
}
