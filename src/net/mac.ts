/** An Ethernet address in canonical text: lower case, colons, e.g. `dc:a6:32:01:36:c2`. */
export type Mac = string & { readonly __brand: 'Mac' };

const MAC =
  /^([0-9a-f]{2})[:-]?([0-9a-f]{2})[:-]?([0-9a-f]{2})[:-]?([0-9a-f]{2})[:-]?([0-9a-f]{2})[:-]?([0-9a-f]{2})$/;

/** Parses `aa:bb:…`, `aa-bb-…` or twelve bare digits, in any case; `undefined` for anything else. */
export function parseMac(text: string): Mac | undefined {
  const match = MAC.exec(text.trim().toLowerCase());
  return match ? (match.slice(1).join(':') as Mac) : undefined;
}

/** Formats the first 6 bytes of `bytes`. */
export function macFromBytes(bytes: Uint8Array): Mac {
  return Array.from(bytes.subarray(0, 6), (byte) => byte.toString(16).padStart(2, '0')).join(':') as Mac;
}

export function macToBytes(mac: Mac): Uint8Array {
  return Uint8Array.from(mac.split(':'), (part) => Number.parseInt(part, 16));
}

/** The first three bytes, which name the maker of the interface: `b8:27:eb`. */
export function oui(mac: Mac): string {
  return mac.slice(0, 8);
}
