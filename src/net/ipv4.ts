/** An IPv4 address in canonical dotted-quad text, e.g. `192.168.172.17`. */
export type Ipv4 = string & { readonly __brand: 'Ipv4' };

const DOTTED_QUAD = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

const DOT = 46; // '.'
const ZERO = 48; // '0'

export const UNSPECIFIED = '0.0.0.0' as Ipv4;
export const LIMITED_BROADCAST = '255.255.255.255' as Ipv4;

/** Parses a dotted quad; `undefined` when the text is anything else (no octal, no short forms). */
export function parseIpv4(text: string): Ipv4 | undefined {
  const match = DOTTED_QUAD.exec(text);
  if (!match) return undefined;
  return match.slice(1).every((octet) => Number(octet) <= 255) ? (text as Ipv4) : undefined;
}

/** The address as an unsigned 32-bit number, so that ranges can be compared and counted. */
export function ipv4ToNumber(address: Ipv4): number {
  let value = 0;
  let octet = 0;
  for (let index = 0; index < address.length; index++) {
    const code = address.charCodeAt(index);
    if (code === DOT) {
      value = value * 256 + octet;
      octet = 0;
    } else octet = octet * 10 + (code - ZERO);
  }
  return value * 256 + octet;
}

/** The inverse of {@link ipv4ToNumber}; only the low 32 bits count. */
export function ipv4FromNumber(value: number): Ipv4 {
  return `${value >>> 24}.${(value >>> 16) & 0xff}.${(value >>> 8) & 0xff}.${value & 0xff}` as Ipv4;
}

/** Network byte order, 4 bytes. */
export function ipv4ToBytes(address: Ipv4): Uint8Array {
  const value = ipv4ToNumber(address);
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** Reads 4 bytes in network byte order at `offset`; the caller has checked the bounds. */
export function ipv4FromBytes(bytes: Uint8Array, offset = 0): Ipv4 {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}` as Ipv4;
}
