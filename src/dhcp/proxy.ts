import { type BootSettings, bootSettings } from './boot-settings.ts';
import type { Decision, Inquiry } from './decision.ts';
import { replyTo } from './reply.ts';

const BROADCAST_FLAG = 0x8000;

/**
 * The policy of a network where another server gives the addresses: we add to its offer what a Pi needs to boot,
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
 * (raspberrypi/rpi-eeprom#687). The broadcast flag is forced: the client has no address yet.
 */
function bootReply(inquiry: Inquiry, boot: BootSettings, type: 'offer' | 'ack'): Decision {
  const reply = replyTo(inquiry, {
    type,
    note: 'where to boot from, beside the address of the other server',
    siaddr: boot.siaddr,
    file: boot.file,
    options: boot.options,
  });
  return { ...reply, message: { ...reply.message, flags: reply.message.flags | BROADCAST_FLAG } };
}

function ignore(reason: string): Decision {
  return { kind: 'ignore', reason };
}
