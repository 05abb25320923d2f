import type { Ipv4 } from '../net/ipv4.ts';
import { bind, holdOffer } from './binding.ts';
import { bootSettings } from './boot-settings.ts';
import type { Inquiry, Reply } from './decision.ts';
import { OPTION, textBytes } from './options.ts';
import { isFree, usableReservation } from './pool.ts';
import { leaseTimeOptions, networkOptions, type OptionEntry, replyTo } from './reply.ts';

/** Offers `address`, and holds it for the client. */
export function offer(inquiry: Inquiry, address: Ipv4): Reply {
  const boot = bootPart(inquiry);
  return replyTo(inquiry, {
    type: 'offer',
    note: boot.note,
    warning: missedReservation(inquiry),
    yiaddr: address,
    siaddr: boot.siaddr,
    file: boot.file,
    options: [...leaseTimeOptions(inquiry.network), ...networkOptions(inquiry), ...boot.options],
    leaseChanges: holdOffer(inquiry, address),
  });
}

/** Binds `address` to the client and says so. Every DHCPREQUEST that ends well ends here. */
export function acknowledge(inquiry: Inquiry, address: Ipv4): Reply {
  const boot = bootPart(inquiry);
  return replyTo(inquiry, {
    type: 'ack',
    note: boot.note,
    yiaddr: address,
    siaddr: boot.siaddr,
    file: boot.file,
    options: [...leaseTimeOptions(inquiry.network), ...networkOptions(inquiry), ...boot.options],
    leaseChanges: bind(inquiry, address),
  });
}

/** Answers DHCPINFORM: the settings, no address and no lease times (RFC 2131 section 4.3.5). */
export function inform(inquiry: Inquiry): Reply {
  const boot = bootPart(inquiry);
  return replyTo(inquiry, {
    type: 'ack',
    note: 'the settings for an address it has',
    siaddr: boot.siaddr,
    file: boot.file,
    options: [...networkOptions(inquiry), ...boot.options],
  });
}

/** Tells the client to stop using the address and begin anew. The reason goes along as text (option 56). */
export function refuse(inquiry: Inquiry, reason: string): Reply {
  return replyTo(inquiry, { type: 'nak', note: reason, options: [[OPTION.message, textBytes(reason)]] });
}

/** The warning when a node cannot have the address reserved for it. */
export function missedReservation(inquiry: Inquiry): string | undefined {
  const { node, leases } = inquiry;
  if (!node?.ip || usableReservation(inquiry)) return undefined;
  const holder = leases.byAddress(node.ip);
  const why =
    holder === undefined || isFree(inquiry, node.ip)
      ? `it is no free address of ${inquiry.network.interface}'s subnet`
      : holder.state === 'declined'
        ? 'another machine on the wire answers for it'
        : `${holder.mac} holds it`;
  return `"${node.name}" cannot have its reserved address ${node.ip}: ${why}`;
}

/** What the reply tells of booting; a client with nothing to boot gets its address all the same. */
function bootPart(inquiry: Inquiry): BootPart {
  const boot = bootSettings(inquiry);
  return boot.kind === 'boot' ? boot : { options: [], note: `an address; ${boot.reason}` };
}

interface BootPart {
  readonly siaddr?: Ipv4;
  readonly file?: string;
  readonly options: readonly OptionEntry[];
  readonly note: string;
}
