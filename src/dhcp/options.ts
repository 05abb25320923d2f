import { asciiFromBytes } from '../net/bytes.ts';
import { type Ipv4, ipv4FromBytes, ipv4ToBytes } from '../net/ipv4.ts';

/** Option codes by their IANA names (RFC 2132, 3004, 3046, 4578). */
export const OPTION = {
  subnetMask: 1,
  router: 3,
  domainNameServer: 6,
  hostName: 12,
  broadcastAddress: 28,
  vendorSpecific: 43,
  requestedIpAddress: 50,
  ipAddressLeaseTime: 51,
  messageType: 53,
  serverIdentifier: 54,
  parameterRequestList: 55,
  message: 56,
  maximumMessageSize: 57,
  renewalTime: 58,
  rebindingTime: 59,
  vendorClass: 60,
  clientIdentifier: 61,
  tftpServerName: 66,
  bootfileName: 67,
  userClass: 77,
  relayAgentInformation: 82,
  clientArch: 93,
  clientNetworkInterface: 94,
  clientMachineId: 97,
} as const;

/** RFC 2132 section 9.6. */
export const MESSAGE_TYPE = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;

export type MessageType = keyof typeof MESSAGE_TYPE;

/** By their codes; 0 is none. */
const MESSAGE_TYPES: ReadonlyArray<MessageType | undefined> = [
  undefined,
  ...(Object.keys(MESSAGE_TYPE) as MessageType[]),
];

/** Raw option bytes by code, as packet.ts decodes them. */
export type Options = ReadonlyMap<number, Uint8Array>;

// Readers are views over the raw bytes. A malformed option reads as absent: every decision treats the two alike,
// and one bad option of one client must not hide the rest of its message.

export function readMessageType(options: Options): MessageType | undefined {
  return MESSAGE_TYPES[readU8(options, OPTION.messageType) ?? 0];
}

export function readU8(options: Options, code: number): number | undefined {
  const bytes = options.get(code);
  return bytes?.length === 1 ? bytes[0] : undefined;
}

/** Network byte order. */
export function readU16(options: Options, code: number): number | undefined {
  const bytes = options.get(code);
  return bytes?.length === 2 ? (bytes[0] as number) * 0x100 + (bytes[1] as number) : undefined;
}

export function readIpv4(options: Options, code: number): Ipv4 | undefined {
  const bytes = options.get(code);
  return bytes?.length === 4 ? ipv4FromBytes(bytes) : undefined;
}

/** One or more addresses; a length that is no multiple of 4 makes the whole option malformed. */
export function readIpv4List(options: Options, code: number): readonly Ipv4[] | undefined {
  const bytes = options.get(code);
  if (!bytes || bytes.length === 0 || bytes.length % 4 !== 0) return undefined;
  return Array.from({ length: bytes.length / 4 }, (_, index) => ipv4FromBytes(bytes, index * 4));
}

/** Text, byte by byte, without the trailing NULs some senders add (RFC 2132 section 2). */
export function readText(options: Options, code: number): string | undefined {
  const bytes = options.get(code);
  return bytes && asciiFromBytes(bytes).replace(/\0+$/, '');
}

// Writers make an option's bytes.

/** Network byte order. */
export function u32Bytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

export function ipv4Bytes(...addresses: readonly Ipv4[]): Uint8Array {
  const bytes = new Uint8Array(addresses.length * 4);
  for (const [index, address] of addresses.entries()) bytes.set(ipv4ToBytes(address), index * 4);
  return bytes;
}

/** ASCII, without a terminating NUL (RFC 2132 section 2). */
export function textBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}
