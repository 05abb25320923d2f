import { type DhcpHabits, dhcpHabits } from '../boot/firmware.ts';
import type { LeaseChange } from '../model/lease.ts';
import type { Network } from '../model/network.ts';
import { type Ipv4, LIMITED_BROADCAST, UNSPECIFIED } from '../net/ipv4.ts';
import { broadcastAddress, isHostAddress, netmask } from '../net/subnet.ts';
import type { Endpoint, Inquiry, Reply } from './decision.ts';
import { fitOptions } from './fit.ts';
import { ipv4Bytes, MESSAGE_TYPE, OPTION, textBytes, u32Bytes } from './options.ts';
import { BROADCAST_FLAG, type DhcpMessage } from './packet.ts';
import { RASPBERRY_PI_BOOT } from './pxe.ts';

/** An option as it is to be written. */
export type OptionEntry = readonly [code: number, value: Uint8Array];

const SERVER_PORT = 67;
const CLIENT_PORT = 68;

interface ReplyParts {
  readonly type: Reply['type'];
  readonly note: string;
  readonly yiaddr?: Ipv4;
  readonly siaddr?: Ipv4 | undefined;
  /** The boot file's name: for PXE, iPXE and U-Boot; no Pi reads it (raspberrypi/rpi-eeprom#69). */
  readonly file?: string | undefined;
  readonly options: readonly OptionEntry[];
  readonly leaseChanges?: readonly LeaseChange[];
  readonly warning?: string | undefined;
}

/** A reply to `inquiry`: the fields of RFC 2131 table 3, then 53, 54, the given options and what is echoed. */
export function replyTo(inquiry: Inquiry, parts: ReplyParts): Reply {
  const { message, client, network } = inquiry;
  const habits = client.kind === 'pi' ? dhcpHabits(client.model) : undefined;
  const options = new Map<number, Uint8Array>([
    [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE[parts.type])],
    [OPTION.serverIdentifier, ipv4Bytes(inquiry.server)],
    ...parts.options,
    ...echo(message, OPTION.clientIdentifier), // RFC 6842 section 3
    ...echo(message, OPTION.relayAgentInformation), // RFC 3046 section 2.2
  ]);
  return {
    kind: 'reply',
    type: parts.type,
    note: parts.note,
    warning: parts.warning,
    leaseChanges: parts.leaseChanges ?? [],
    destination: destinationOf(inquiry, parts.type),
    delayMs: delayOf(habits, network),
    message: {
      op: 2,
      htype: message.htype,
      hops: 0,
      xid: message.xid,
      secs: 0,
      flags: parts.type === 'nak' ? nakFlags(message) : message.flags,
      ciaddr: parts.type === 'ack' ? message.ciaddr : UNSPECIFIED,
      yiaddr: parts.yiaddr ?? UNSPECIFIED,
      siaddr: parts.siaddr ?? UNSPECIFIED,
      giaddr: message.giaddr,
      chaddr: message.chaddr,
      sname: '',
      file: parts.file ?? '',
      options: fitOptions(options, message, network.mtu),
    },
  };
}

/** The network's settings, and the name of a node that was added. */
export function networkOptions({ network, node }: Inquiry): OptionEntry[] {
  return [
    [OPTION.subnetMask, ipv4Bytes(netmask(network.subnet))],
    [OPTION.broadcastAddress, ipv4Bytes(broadcastAddress(network.subnet))],
    ...(network.router ? [[OPTION.router, ipv4Bytes(network.router)] as const] : []),
    ...(network.dns.length > 0 ? [[OPTION.domainNameServer, ipv4Bytes(...network.dns)] as const] : []),
    ...(node ? [[OPTION.hostName, textBytes(node.name)] as const] : []),
  ];
}

/** Lease, renewal and rebinding time: T1 is 0.5, T2 0.875 of the lease (RFC 2131 section 4.4.5). */
export function leaseTimeOptions({ leaseSeconds }: Network): OptionEntry[] {
  return [
    [OPTION.ipAddressLeaseTime, u32Bytes(leaseSeconds)],
    [OPTION.renewalTime, u32Bytes(Math.floor(leaseSeconds * 0.5))],
    [OPTION.rebindingTime, u32Bytes(Math.floor(leaseSeconds * 0.875))],
  ];
}

/**
 * What makes a Pi's firmware fetch its files from us. siaddr, option 66 and the menu go together, as each firmware
 * trusts another of them: Pi 4 wanted 66 (tinkerbell/smee#23), the 3B ROM the menu; 66 beats siaddr on Pi 5.
 * Option 66 is a dotted quad, since the firmware resolves no names; 67 and `file` are ignored by every Pi.
 */
export function bootOptions({ message, network }: Inquiry): OptionEntry[] {
  return [
    [OPTION.vendorClass, textBytes('PXEClient')],
    [OPTION.tftpServerName, textBytes(network.address)],
    ...echo(message, OPTION.clientMachineId),
    [OPTION.vendorSpecific, RASPBERRY_PI_BOOT],
  ];
}

/**
 * RFC 2131 section 4.1, except that a client without an address is always answered by broadcast, whatever its
 * flag says: unicast would need a forged ARP entry, and a Pi 3 may keep a unicast frame until another comes in
 * (raspberrypi/firmware#764, #862, #894).
 */
function destinationOf(inquiry: Inquiry, type: Reply['type']): Endpoint {
  const { message, network, arrival } = inquiry;
  const { source } = arrival;
  if (message.giaddr !== UNSPECIFIED) return { address: message.giaddr, port: SERVER_PORT };
  // A boot server request comes from an address, often from port 4011, and is answered where it came from.
  if (arrival.localPort === 4011 && isHostAddress(network.subnet, source.address)) return source;
  // Some clients leave their address out of DHCPINFORM, and send from it all the same.
  const isNamed = message.ciaddr !== UNSPECIFIED || inquiry.type !== 'inform';
  const address = isNamed ? message.ciaddr : source.address;
  if (type !== 'nak' && isHostAddress(network.subnet, address)) return { address, port: CLIENT_PORT };
  return { address: LIMITED_BROADCAST, port: CLIENT_PORT };
}

/** How long this firmware's answer has to be held back; the configuration may say otherwise. */
function delayOf(habits: DhcpHabits | undefined, network: Network): number {
  const delay = habits?.delayMs?.value;
  if (!delay) return 0;
  return network.romDelayMs ?? (network.dhcp === 'proxy' ? delay.proxy : delay.full);
}

/** A relay is told to broadcast a NAK: the client's address is not to be used (RFC 2131 section 4.3.2). */
function nakFlags({ giaddr, flags }: DhcpMessage): number {
  return giaddr === UNSPECIFIED ? flags : flags | BROADCAST_FLAG;
}

/** An option of the request, for the reply. */
export function echo(message: DhcpMessage, code: number): OptionEntry[] {
  const value = message.options.get(code);
  return value ? [[code, value]] : [];
}
