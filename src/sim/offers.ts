import { OPTION, readIpv4, readMessageType, readText } from '../dhcp/options.ts';
import type { DhcpMessage } from '../dhcp/packet.ts';
import { asciiFromBytes } from '../net/bytes.ts';
import { type Ipv4, parseIpv4, UNSPECIFIED } from '../net/ipv4.ts';
import type { DhcpStage } from './dhcp-personality.ts';

/** A reply to our DISCOVER with the address its UDP datagram came from. */
export interface HeardReply {
  readonly source: Ipv4;
  readonly message: DhcpMessage;
}

/** What the firmware makes of the offers it has heard so far. */
export type Choice =
  | {
      readonly kind: 'accepted';
      /** The ordinary OFFER whose yiaddr is used; `boot` may be the same one or that of a proxyDHCP server. */
      readonly lease: HeardReply;
      readonly boot: HeardReply;
      readonly tftpServer: Ipv4;
    }
  | {
      readonly kind: 'waiting';
      /** For a person: what is missing, server by server. */
      readonly reasons: readonly string[];
    };

const BOOT_TEXT = 'Raspberry Pi Boot';

/**
 * The acceptance rule of each firmware stage, over every OFFER heard, in the order they came. A Pi goes on
 * listening until it has both an address and word of where to boot from; which comes first does not matter.
 */
export function chooseOffer(stage: DhcpStage, heard: readonly HeardReply[]): Choice {
  const offers = heard.filter((reply) => readMessageType(reply.message.options) === 'offer');
  const usable = offers.filter((reply) => stage !== '3b ROM' || reply.message.hops !== 1);
  const lease = usable.find((reply) => reply.message.yiaddr !== UNSPECIFIED);
  const boot = usable.find((reply) => tellsBoot(stage, reply));
  if (lease && boot) return { kind: 'accepted', lease, boot, tftpServer: tftpServerOf(stage, lease, boot) };
  const reasons = offers.map((reply) => describeRefusal(stage, reply, lease));
  return { kind: 'waiting', reasons: reasons.length > 0 ? reasons : ['no DHCP server answered'] };
}

function tellsBoot(stage: DhcpStage, reply: HeardReply): boolean {
  const text = vendorText(reply);
  switch (stage) {
    case '3b ROM':
      // Length bug of the mask ROM: three spaces have to follow (boot-net.adoc, raspberrypi/firmware#1265).
      return text.includes(`${BOOT_TEXT}   `);
    case '3b+ ROM':
      return text.includes(BOOT_TEXT);
    case 'bootcode.bin':
      // raspberrypi/firmware#1699 and #871: an address to fetch from is as good as the text. Not a siaddr that names
      // its sender: routers write that by default (dnsmasq), and beside one the Pi waits for "the pxe boot info"
      // (raspberrypi/documentation#395).
      return (
        text.includes(BOOT_TEXT) ||
        tftpOption(reply) !== undefined ||
        ![undefined, reply.source].includes(siaddrOf(reply))
      );
    case 'EEPROM':
      // Option 66 counts in an ordinary OFFER; a proxy has to send the text (raspberrypi/rpi-eeprom#182).
      // siaddr alone was not enough (tinkerbell/smee#23).
      return (
        text.includes(BOOT_TEXT) || (reply.message.yiaddr !== UNSPECIFIED && tftpOption(reply) !== undefined)
      );
  }
}

/** Option 66 > the offer that tells to boot: its siaddr, or else the address its packet came from. */
function tftpServerOf(stage: DhcpStage, lease: HeardReply, boot: HeardReply): Ipv4 {
  // raspberrypi/firmware#801: the 3B's ROM fetches from whoever sent the text, whatever the packet says.
  if (stage === '3b ROM') return boot.source;
  // raspberrypi/rpi-eeprom#687: with siaddr 0 it is the UDP source that counts, not option 54.
  return tftpOption(boot) ?? tftpOption(lease) ?? siaddrOf(boot) ?? boot.source;
}

function vendorText(reply: HeardReply): string {
  const value = reply.message.options.get(OPTION.vendorSpecific);
  return value ? asciiFromBytes(value) : '';
}

/** Option 66 has to be an address in dotted quads; firmware does not resolve names. A NUL at the end is tolerated. */
function tftpOption(reply: HeardReply): Ipv4 | undefined {
  return parseIpv4(readText(reply.message.options, OPTION.tftpServerName) ?? '');
}

function siaddrOf(reply: HeardReply): Ipv4 | undefined {
  return reply.message.siaddr === UNSPECIFIED ? undefined : reply.message.siaddr;
}

function describeRefusal(stage: DhcpStage, reply: HeardReply, lease: HeardReply | undefined): string {
  const { message, source } = reply;
  const from = `the OFFER from ${readIpv4(message.options, OPTION.serverIdentifier) ?? source}`;
  if (stage === '3b ROM' && message.hops === 1)
    return `${from} came through a relay, which the 3B's boot ROM cannot use`;
  if (tellsBoot(stage, reply)) return `${from} says where to boot from, but no server offered an address`;
  const address = message.yiaddr === UNSPECIFIED ? 'no address' : message.yiaddr;
  const text = vendorText(reply);
  const vendor = text.includes(BOOT_TEXT)
    ? `option 43 says "${BOOT_TEXT}" without the three spaces the 3B's boot ROM needs after it`
    : text === ''
      ? 'no option 43'
      : `an option 43 without "${BOOT_TEXT}"`;
  const option66 = readText(message.options, OPTION.tftpServerName);
  const server =
    stage === '3b ROM' || stage === '3b+ ROM'
      ? '' // its ROM does not take option 66 for an answer
      : option66 === undefined
        ? ' and no option 66'
        : tftpOption(reply)
          ? ' (option 66 of a proxy offer does not count)'
          : ` and option 66 "${option66}", which is not an IPv4 address`;
  const unused = lease && reply !== lease && message.yiaddr !== UNSPECIFIED ? ', and it came second' : '';
  return `${from} has ${address}, ${vendor}${server}${unused}`;
}
