import { UNSPECIFIED } from '../net/ipv4.ts';
import { type BootSettings, bootSettings } from './boot-settings.ts';
import type { Decision, Inquiry } from './decision.ts';
import { OPTION } from './options.ts';
import { BROADCAST_FLAG } from './packet.ts';
import { encodePxe, readBootItem } from './pxe.ts';
import { type OptionEntry, replyTo } from './reply.ts';

/**
 * The policy of a network where another server gives the addresses: we add to its offer what a machine needs to boot,
 * and say nothing to anybody else.
 */
export function decideProxy(inquiry: Inquiry): Decision {
  const { type, arrival } = inquiry;
  const boot = bootSettings(inquiry);
  if (boot.kind === 'nothing') return ignore(boot.reason);
  // A native Pi never asks on port 4011; UEFI does (PXE 2.1, boot server discovery).
  if (arrival.localPort === 4011 && (type === 'request' || type === 'inform'))
    return bootReply(inquiry, boot, 'ack');
  if (arrival.localPort === 67 && type === 'discover') return bootReply(inquiry, boot, 'offer');
  return ignore('its address is the business of the other server');
}

/**
 * No address, no lease time, no netmask and no router: those are the other server's.
 * siaddr and option 66 are set, as without them a Pi 5 takes the packet's source address, not option 54
 * (raspberrypi/rpi-eeprom#687). Who has no address yet is answered by broadcast, and the flag says so, as dnsmasq's
 * does: some firmware looks at it.
 */
function bootReply(inquiry: Inquiry, boot: BootSettings, type: 'offer' | 'ack'): Decision {
  const reply = replyTo(inquiry, {
    type,
    note: `${boot.note}; the address is the other server’s`,
    siaddr: boot.siaddr,
    file: boot.file,
    options: type === 'ack' ? withBootItem(inquiry, boot.options) : boot.options,
  });
  const { message } = reply;
  if (message.ciaddr !== UNSPECIFIED) return reply;
  return { ...reply, message: { ...message, flags: message.flags | BROADCAST_FLAG } };
}

/** A boot server repeats the item it was asked for (PXE 2.1 section 2.4.4), and that the file is the one it names. */
function withBootItem({ message, client }: Inquiry, options: readonly OptionEntry[]): readonly OptionEntry[] {
  const item = readBootItem(message.options.get(OPTION.vendorSpecific));
  if (!item || client.kind !== 'pxe') return options;
  const answer = encodePxe([
    { kind: 'discoveryControl', flags: 8 },
    { kind: 'bootItem', item },
  ]);
  return [...options.filter(([code]) => code !== OPTION.vendorSpecific), [OPTION.vendorSpecific, answer]];
}

function ignore(reason: string): Decision {
  return { kind: 'ignore', reason };
}
