import { type Ipv4, ipv4FromNumber, ipv4ToNumber } from './ipv4.ts';

/** An address as the 32 bits of a sockaddr: to compare and to send back without making text of it. */
export function addressWord(address: Ipv4): number {
  return swapped(ipv4ToNumber(address));
}

/** What {@link addressWord} made. */
export function addressOfWord(word: number): Ipv4 {
  return ipv4FromNumber(swapped(word));
}

/** Network byte order read as this machine's, which is the other one: amd64 and arm64 both put the low byte first. */
function swapped(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
