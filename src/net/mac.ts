/** An Ethernet address in canonical text: lower case, colons, e.g. `dc:a6:32:01:36:c2`. */
export type Mac = string & { readonly __brand: 'Mac' };

const MAC =
  /^([0-9a-f]{2})[:-]?([0-9a-f]{2})[:-]?([0-9a-f]{2})[:-]?([0-9a-f]{2})[:-]?([0-9a-f]{2})[:-]?([0-9a-f]{2})$/;

/** Parses `aa:bb:…`, `aa-bb-…` or twelve bare digits, in any case; `undefined` for anything else. */
export function parseMac(text: string): Mac | undefined {
  const match = MAC.exec(text.trim().toLowerCase());
  return match ? (match.slice(1).join(':') as Mac) : undefined;
}

/** Formats the 6 bytes at `offset`; the caller has checked the bounds. */
export function macFromBytes(bytes: Uint8Array, offset = 0): Mac {
  let text = HEX[bytes[offset] as number] as string;
  for (let index = offset + 1; index < offset + 6; index++) text += `:${HEX[bytes[index] as number]}`;
  return text as Mac;
}

export function macToBytes(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(6);
  for (let index = 0; index < 6; index++)
    bytes[index] = digit(mac.charCodeAt(index * 3)) * 16 + digit(mac.charCodeAt(index * 3 + 1));
  return bytes;
}

/** Two lower-case digits for each byte. */
const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** The value of a lower-case hexadecimal digit by its character code: `0` is 48, `a` is 97. */
const digit = (code: number): number => (code < 58 ? code - 48 : code - 87);

/** The first three bytes, which name the maker of the interface: `b8:27:eb`. */
export function oui(mac: Mac): string {
  return mac.slice(0, 8);
}
