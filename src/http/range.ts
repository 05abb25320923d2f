/** The part of a file that a request is for: from the first byte to before the one at `end`. */
export interface Part {
  readonly kind: 'whole' | 'part';
  readonly start: number;
  readonly end: number;
}

/**
 * What `Range` asks of a file of this size (RFC 9110 section 14). Several ranges at once, other units and what is no
 * range at all mean the whole file, as if nothing had been said.
 * @param version the file's, as in its ETag; a different one in `If-Range` also means the whole.
 * @returns `undefined` for a range of which the file has no byte.
 */
export function partOf(
  size: number,
  headers: { readonly range?: string | undefined; readonly ifRange?: string | undefined },
  version: string | undefined,
): Part | undefined {
  const whole: Part = { kind: 'whole', start: 0, end: size };
  const { range, ifRange } = headers;
  if (range === undefined) return whole;
  if (ifRange !== undefined && (version === undefined || ifRange.trim() !== etagOf(version))) return whole;
  const [, first, last] = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i.exec(range.trim()) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return whole;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? undefined : { kind: 'part', start: size - length, end: size };
  }
  if (last !== '' && Number(last) < Number(first)) return whole;
  if (Number(first) >= size) return undefined;
  return { kind: 'part', start: Number(first), end: Math.min(size, last === '' ? size : Number(last) + 1) };
}

export const etagOf = (version: string): string => `"${version}"`;
