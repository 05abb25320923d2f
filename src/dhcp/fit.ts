import { OPTION, type Options, readU16 } from './options.ts';
import type { DhcpMessage } from './packet.ts';

/** The longest IP packet with a DHCP message that every client takes (RFC 2132 section 9.10). */
const MINIMUM_SIZE = 576;
/** IP and UDP headers, the fixed part of the message with its cookie, and the end option. */
const OVERHEAD = 20 + 8 + 240 + 1;
/** What a client can do without, the least needed first. What it echoes of itself is as long as it made it. */
const EXPENDABLE = [
  OPTION.broadcastAddress,
  OPTION.rebindingTime,
  OPTION.renewalTime,
  OPTION.hostName,
  OPTION.clientIdentifier,
  OPTION.clientMachineId,
  OPTION.domainNameServer,
];

/**
 * `options` without what the client has no room for: it names the longest message that it takes (option 57), and no
 * reply is longer than one packet of the wire. What stays is short: of what is echoed that is the relay's
 * alone, which decide.ts bounds. An answer with less in it is better than one that is never read.
 * @param mtu of the interface, in bytes.
 */
export function fitOptions(options: Options, request: DhcpMessage, mtu: number): Options {
  let left = sizeOf(options) - roomFor(request, mtu);
  if (left <= 0) return options;
  const kept = new Map(options);
  for (const code of EXPENDABLE) {
    if (left <= 0) break;
    const value = kept.get(code);
    if (value && kept.delete(code)) left -= sizeOfOption(value);
  }
  return kept;
}

function roomFor({ options }: DhcpMessage, mtu: number): number {
  const wanted = readU16(options, OPTION.maximumMessageSize) ?? MINIMUM_SIZE;
  return Math.min(Math.max(wanted, MINIMUM_SIZE), Math.max(mtu, MINIMUM_SIZE)) - OVERHEAD;
}

function sizeOf(options: Options): number {
  let size = 0;
  for (const value of options.values()) size += sizeOfOption(value);
  return size;
}

/** With its code and length, and those of each further piece of 255 bytes (RFC 3396). */
const sizeOfOption = ({ length }: Uint8Array): number => length + 2 * Math.max(1, Math.ceil(length / 255));
