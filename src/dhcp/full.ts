import { UNSPECIFIED } from '../net/ipv4.ts';
import { isHostAddress } from '../net/subnet.ts';
import { expire, leaseOf, quarantine } from './binding.ts';
import type { Decision, Inquiry } from './decision.ts';
import { inform, missedReservation, offer } from './grant.ts';
import { OPTION, readIpv4 } from './options.ts';
import { chooseAddress } from './pool.ts';
import { decideRequest } from './request.ts';

/** The policy of a network where we are the DHCP server (RFC 2131 section 4.3). */
export function decideFull(inquiry: Inquiry): Decision {
  const { arrival, client, isServed, view } = inquiry;
  if (arrival.localPort === 4011)
    return ignore('port 4011 is for proxy mode; in full mode port 67 says it all');
  if (client.kind !== 'plain' && !isServed && view.policy.unknown === 'ignore')
    return ignore('it asks to boot, was not added, and nodes.unknown is "ignore"');
  switch (inquiry.type) {
    case 'discover':
      return decideDiscover(inquiry);
    case 'request':
      return decideRequest(inquiry);
    case 'decline':
      return decideDecline(inquiry);
    case 'release':
      return decideRelease(inquiry);
    case 'inform':
      return decideInform(inquiry);
    case 'offer':
    case 'ack':
    case 'nak':
      return ignore(`no client sends DHCP${inquiry.type.toUpperCase()}`);
  }
}

function decideDiscover(inquiry: Inquiry): Decision {
  const requested = readIpv4(inquiry.message.options, OPTION.requestedIpAddress);
  const address = chooseAddress(inquiry, [leaseOf(inquiry)?.address, requested]);
  if (address) return offer(inquiry, address);
  const { interface: name } = inquiry.network;
  const warning = missedReservation(inquiry) ?? `No address of "${name}" is free: make its pool larger`;
  return { kind: 'ignore', reason: 'no address is free', warning };
}

/** Only for an address that this client holds: otherwise one machine could put the whole pool out of use. */
function decideDecline(inquiry: Inquiry): Decision {
  if (!isForUs(inquiry)) return ignore('it declines the address of another server');
  const address = readIpv4(inquiry.message.options, OPTION.requestedIpAddress);
  const lease = leaseOf(inquiry);
  if (!lease || lease.address !== address) return ignore('it declines an address that it was not given');
  const reserved = inquiry.view.nodesByIp.get(address);
  const whose = reserved ? `, reserved for "${reserved.name}",` : '';
  return {
    kind: 'silent',
    leaseChanges: quarantine(lease, inquiry.now),
    reason: `${address} is in use by another machine and rests`,
    warning: `${address}${whose} is used by a machine that did not get it from us: nobody is given it for a while`,
  };
}

function decideRelease(inquiry: Inquiry): Decision {
  if (!isForUs(inquiry)) return ignore('it releases the address of another server');
  const lease = leaseOf(inquiry);
  if (!lease || lease.address !== inquiry.message.ciaddr)
    return ignore('it releases an address that it does not hold');
  return {
    kind: 'silent',
    leaseChanges: expire(lease, inquiry.now),
    reason: `${lease.address} was given back`,
  };
}

/** Its address is in ciaddr; a client that leaves it out sends from it all the same. */
function decideInform(inquiry: Inquiry): Decision {
  const { message, network, arrival } = inquiry;
  const address = message.ciaddr === UNSPECIFIED ? arrival.source.address : message.ciaddr;
  if (!isHostAddress(network.subnet, address)) return ignore('its address is not of this network');
  return inform(inquiry);
}

/** Some clients leave the server identifier out where RFC 2131 table 5 wants it; another server's name is what counts. */
function isForUs({ message, server }: Inquiry): boolean {
  const chosen = readIpv4(message.options, OPTION.serverIdentifier);
  return chosen === undefined || chosen === server;
}

function ignore(reason: string): Decision {
  return { kind: 'ignore', reason };
}
