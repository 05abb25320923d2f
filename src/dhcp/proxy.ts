import type { Decision, Inquiry } from './decision.ts';
import { bootOptions, replyTo } from './reply.ts';

const BROADCAST_FLAG = 0x8000;

/**
 * The policy of a network where another server gives the addresses: we add to its offer what a Pi needs to boot,
 * and say nothing to anybody else.
 */
export function decideProxy(inquiry: Inquiry): Decision {
  const { client, type, arrival, isServed } = inquiry;
  switch (client.kind) {
    case 'pi':
      if (!isServed) return ignore('it was not added: it is told nothing of booting');
      // A native Pi never asks on port 4011; something that passes for one is answered there all the same.
      if (arrival.localPort === 4011 && (type === 'request' || type === 'inform'))
        return bootReply(inquiry, 'ack');
      if (arrival.localPort === 67 && type === 'discover') return bootReply(inquiry, 'offer');
      return ignore('its address is the business of the other server');
    case 'pxe':
    case 'ipxe':
    case 'http':
    case 'u-boot':
      // Here UEFI, iPXE and U-Boot will get their boot programs, on 4011 where they ask there. Never the Pi's menu.
      return ignore(`${client.kind}: we have nothing for it to boot`);
    case 'plain':
      return ignore('it does not ask to boot');
  }
}

/**
 * No address, no lease time, no netmask and no router: those are the other server's.
 * siaddr and option 66 are set, as without them a Pi 5 takes the packet's source address, not option 54
 * (raspberrypi/rpi-eeprom#687). The broadcast flag is forced: the client has no address yet.
 */
function bootReply(inquiry: Inquiry, type: 'offer' | 'ack'): Decision {
  const reply = replyTo(inquiry, {
    type,
    note: 'where to boot from, beside the address of the other server',
    siaddr: inquiry.network.address,
    options: bootOptions(inquiry),
  });
  return { ...reply, message: { ...reply.message, flags: reply.message.flags | BROADCAST_FLAG } };
}

function ignore(reason: string): Decision {
  return { kind: 'ignore', reason };
}
