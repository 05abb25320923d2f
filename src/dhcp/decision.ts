import type { BootStage } from '../model/boot-pin.ts';
import type { BootView } from '../model/boot-view.ts';
import type { Instant, LeaseChange, LeaseReader } from '../model/lease.ts';
import type { Network } from '../model/network.ts';
import type { Node } from '../model/node.ts';
import type { Sighting } from '../model/sighting.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import type { Client } from './client.ts';
import type { Identity } from './identity.ts';
import type { MessageType } from './options.ts';
import type { DhcpMessage } from './packet.ts';

export interface Endpoint {
  readonly address: Ipv4;
  readonly port: number;
}

/** How a datagram reached us. */
export interface Arrival {
  readonly interface: string;
  readonly source: Endpoint;
  /** 67: the DHCP server; 4011: the PXE boot server. */
  readonly localPort: 67 | 4011;
}

/** A message with all that is needed to decide on it. */
export interface Inquiry {
  readonly message: DhcpMessage;
  readonly type: MessageType;
  readonly mac: Mac;
  readonly arrival: Arrival;
  /** Where the client is, perhaps behind a relay. */
  readonly network: Network;
  /** What this client is to call us (option 54): our address, or what its relay has it say. */
  readonly server: Ipv4;
  readonly client: Client;
  readonly identity: Identity;
  readonly node: Node | undefined;
  readonly isServed: boolean;
  readonly view: BootView;
  readonly leases: LeaseReader;
  readonly now: Instant;
}

/** What to do about a message. Silence is a decision, too, and has its reason. */
export type Decision = Ignore | Silent | Reply;

interface Noted {
  /** A Pi asked to boot: for the list of machines that were seen. */
  readonly sighting?: Sighting | undefined;
  /** A program of a node that boots asks anew. */
  readonly stage?: BootStage | undefined;
  /** Who asked, once it was found out. */
  readonly client?: Client;
  /** Something a person should know of, beside the decision itself. */
  readonly warning?: string | undefined;
}

/** Nothing is sent and nothing changes. */
export interface Ignore extends Noted {
  readonly kind: 'ignore';
  readonly reason: string;
}

/** Nothing is sent, but leases change: RELEASE, DECLINE, an offer the client did not take. */
export interface Silent extends Noted {
  readonly kind: 'silent';
  readonly leaseChanges: readonly LeaseChange[];
  readonly reason: string;
}

export interface Reply extends Noted {
  readonly kind: 'reply';
  readonly type: 'offer' | 'ack' | 'nak';
  readonly message: DhcpMessage;
  readonly destination: Endpoint;
  /** To be durable before the reply leaves. */
  readonly leaseChanges: readonly LeaseChange[];
  /** Wait this long before sending. */
  readonly delayMs: number;
  /** Why this reply, in words. */
  readonly note: string;
}
