import type { Network } from '../model/network.ts';
import { type Ipv4, ipv4FromBytes, UNSPECIFIED } from '../net/ipv4.ts';
import { isHostAddress, subnetContains } from '../net/subnet.ts';
import type { Arrival } from './decision.ts';
import { OPTION, type Options } from './options.ts';
import type { DhcpMessage } from './packet.ts';

/** Sub-options of the relay agent's option 82. */
const LINK_SELECTION = 5; // RFC 3527
const SERVER_IDENTIFIER_OVERRIDE = 11; // RFC 5107

/**
 * The network that a client is on, of those that lie behind `own`'s interface: the relay's link selection says it
 * (RFC 3527), else the relay's address (RFC 2131 section 4.3.1). Who renews does so past its relay, from the address
 * that it renews. `undefined`: it is on a network that we do not serve.
 */
export function linkOf(own: Network, message: DhcpMessage, { source }: Arrival): Network | undefined {
  const { giaddr, ciaddr, options } = message;
  if (giaddr !== UNSPECIFIED) {
    const relay = networkWith(own, giaddr); // unknown relays are not answered, whatever they select
    const link = relay && readRelayAddress(options, LINK_SELECTION);
    return link ? networkWith(own, link) : relay;
  }
  if (!own.relayed || ciaddr === UNSPECIFIED || ciaddr !== source.address) return own;
  return own.relayed.find(({ subnet }) => isHostAddress(subnet, ciaddr)) ?? own;
}

/** What clients are to call us: a relay that wants to see every renewal has them call it by its own address. */
export function serverIdentifierOf(own: Network, { giaddr, options }: DhcpMessage): Ipv4 {
  const override = giaddr === UNSPECIFIED ? undefined : readRelayAddress(options, SERVER_IDENTIFIER_OVERRIDE);
  return override ?? own.address;
}

function networkWith(own: Network, address: Ipv4): Network | undefined {
  if (subnetContains(own.subnet, address)) return own;
  return own.relayed?.find(({ subnet }) => subnetContains(subnet, address));
}

/** An address in a sub-option of option 82 (RFC 3046 section 2.0); a malformed one reads as absent. */
function readRelayAddress(options: Options, wanted: number): Ipv4 | undefined {
  const bytes = options.get(OPTION.relayAgentInformation);
  if (!bytes) return undefined;
  for (let offset = 0; offset + 2 <= bytes.length; ) {
    const [code, length] = [bytes[offset], bytes[offset + 1] as number];
    const end = offset + 2 + length;
    if (code === wanted)
      return length === 4 && end <= bytes.length ? ipv4FromBytes(bytes, offset + 2) : undefined;
    offset = end;
  }
  return undefined;
}
