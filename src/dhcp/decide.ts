import type { BootStage } from '../model/boot-pin.ts';
import type { BootView } from '../model/boot-view.ts';
import type { Instant, LeaseReader } from '../model/lease.ts';
import type { Sighting } from '../model/sighting.ts';
import { machineOf } from './boot-settings.ts';
import { classify, stageOrder } from './client.ts';
import type { Arrival, Decision, Inquiry } from './decision.ts';
import { decideFull } from './full.ts';
import { identify, isServed } from './identity.ts';
import { linkOf, serverIdentifierOf } from './link.ts';
import { OPTION, readMessageType } from './options.ts';
import type { DhcpMessage } from './packet.ts';
import { decideProxy } from './proxy.ts';

const ETHERNET = 1;
/** A message that passed more relays than this goes round in circles (RFC 1542 section 4.1.1). */
const MOST_HOPS = 16;
/** Bytes of what a relay agent adds: it is echoed whole, and the reply shall fit into one packet of 1500 bytes. */
const MOST_AGENT_BYTES = 1000;

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
  if (message.hops > MOST_HOPS) return ignore(`it passed ${message.hops} relays`);
  const agent = message.options.get(OPTION.relayAgentInformation)?.length ?? 0;
  if (agent > MOST_AGENT_BYTES)
    return ignore(`a relay’s information of ${agent} bytes would not fit into the reply`);
  const own = view.networks.get(arrival.interface);
  if (!own || own.dhcp === 'off') return ignore('DHCP is off on this interface');
  if (arrival.source.address === own.address) return ignore('it comes from ourselves');
  const network = linkOf(own, message, arrival);
  if (!network) return ignore(`the relay ${message.giaddr} is of another network, for which we have no pool`);
  const type = readMessageType(message.options);
  if (!type) return ignore('it has no DHCP message type: BOOTP is not served');

  const client = classify(message, view.policy.ouis);
  const identity = identify(client, message.chaddr, arrival.interface, view, leases);
  const inquiry: Inquiry = {
    message,
    type,
    mac: message.chaddr,
    arrival,
    network,
    server: serverIdentifierOf(own, message),
    client,
    identity,
    node: identity.node,
    isServed: isServed(client, identity, view),
    view,
    leases,
    now,
  };
  const decision = network.dhcp === 'proxy' ? decideProxy(inquiry) : decideFull(inquiry);
  return { ...decision, sighting: sightingOf(inquiry), stage: stageOf(inquiry), client };
}

/** Every machine that asks to boot is seen, served or not; a node's MAC is learnt from it. */
function sightingOf({ client, mac, arrival, identity, now }: Inquiry): Sighting | undefined {
  const machine = machineOf(client);
  if (machine === undefined) return undefined;
  // Only a Pi tells its serial; another machine's is that of the node with its MAC.
  const serial = client.kind === 'pi' ? client.serial : identity.serial;
  return { mac, interface: arrival.interface, at: now, machine, ...(serial ? { serial } : {}) };
}

/** Every boot begins with a DISCOVER; a REQUEST belongs to one, or renews the lease of a system that runs. */
function stageOf({ type, client, node, message }: Inquiry): BootStage | undefined {
  const order = stageOrder(client);
  if (type !== 'discover' || order === undefined || !node) return undefined;
  return { serial: node.serial, order, xid: message.xid };
}

function ignore(reason: string): Decision {
  return { kind: 'ignore', reason };
}
