import type { BootView } from '../model/boot-view.ts';
import type { Instant, LeaseReader } from '../model/lease.ts';
import type { Sighting } from '../model/sighting.ts';
import { UNSPECIFIED } from '../net/ipv4.ts';
import { isHostAddress } from '../net/subnet.ts';
import { classify, machineName } from './client.ts';
import type { Arrival, Decision, Inquiry } from './decision.ts';
import { decideFull } from './full.ts';
import { identify, isServed } from './identity.ts';
import { readMessageType } from './options.ts';
import type { DhcpMessage } from './packet.ts';
import { decideProxy } from './proxy.ts';

const ETHERNET = 1;

/** What to do about a message: pure, so that the same packet, view and leases always give the same answer. */
export function decide(
  message: DhcpMessage,
  arrival: Arrival,
  view: BootView,
  leases: LeaseReader,
  now: Instant,
): Decision {
  if (message.op !== 1) return ignore('it is an answer of a server');
  if (message.htype !== ETHERNET) return ignore(`hardware type ${message.htype} is not Ethernet`);
  const network = view.networks.get(arrival.interface);
  if (!network || network.dhcp === 'off') return ignore('DHCP is off on this interface');
  if (arrival.source.address === network.address) return ignore('it comes from ourselves');
  if (message.giaddr !== UNSPECIFIED && !isHostAddress(network.subnet, message.giaddr))
    return ignore(`the relay ${message.giaddr} is of another network, for which we have no pool`);
  const type = readMessageType(message.options);
  if (!type) return ignore('it has no DHCP message type: BOOTP is not served');

  const client = classify(message);
  const identity = identify(client, message.chaddr, arrival.interface, view, leases);
  const inquiry: Inquiry = {
    message,
    type,
    mac: message.chaddr,
    arrival,
    network,
    client,
    identity,
    node: identity.node,
    isServed: isServed(client, identity, view),
    view,
    leases,
    now,
  };
  const decision = network.dhcp === 'proxy' ? decideProxy(inquiry) : decideFull(inquiry);
  return { ...decision, sighting: sightingOf(inquiry) };
}

/** Every Pi that asks to boot is seen, served or not; a node's MAC is learnt from it. */
function sightingOf({ client, mac, arrival, now }: Inquiry): Sighting | undefined {
  if (client.kind !== 'pi') return undefined;
  const serial = client.serial ? { serial: client.serial } : {};
  return { mac, interface: arrival.interface, at: now, machine: machineName(client.model), ...serial };
}

function ignore(reason: string): Decision {
  return { kind: 'ignore', reason };
}
