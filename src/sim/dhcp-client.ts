import { OPTION, readIpv4, readIpv4List, readMessageType, readText } from '../dhcp/options.ts';
import { type DhcpMessage, decodeMessage } from '../dhcp/packet.ts';
import { asciiFromBytes, WireError } from '../net/bytes.ts';
import { type Ipv4, ipv4ToNumber, UNSPECIFIED } from '../net/ipv4.ts';
import { type DhcpPersonality, encodeDiscover, encodeRequest } from './dhcp-personality.ts';
import type { FirmwareEvent } from './firmware-event.ts';
import type { Inbox } from './inbox.ts';
import { chooseOffer, type HeardReply } from './offers.ts';
import { FirmwareFailure, type Lease } from './wire.ts';

export interface DhcpTransport {
  /** To 255.255.255.255:67 from 0.0.0.0:68. */
  broadcast(bytes: Uint8Array): void;
  readonly inbox: Inbox;
  readonly report: (event: FirmwareEvent) => void;
  /** Every wait of the firmware is multiplied by it: 1 is a real Pi, tests are quicker. */
  readonly timeScale: number;
}

type Accepted = Extract<ReturnType<typeof chooseOffer>, { kind: 'accepted' }>;

/** Runs the exchange as the firmware stage does. @throws FirmwareFailure when its time is up. */
export async function obtainLease(personality: DhcpPersonality, transport: DhcpTransport): Promise<Lease> {
  const deadline = performance.now() + personality.timeoutMs * transport.timeScale;
  while (true) {
    const choice = await discover(personality, transport, deadline);
    if (!personality.sendsRequest) return leaseFrom(choice, choice.lease.message);
    const answer = await request(personality, choice, transport, deadline);
    if (readMessageType(answer.message.options) === 'ack') return leaseFrom(choice, answer.message);
    transport.report({ kind: 'nak', source: answer.source });
  }
}

async function discover(
  personality: DhcpPersonality,
  transport: DhcpTransport,
  deadline: number,
): Promise<Accepted> {
  const datagram = encodeDiscover(personality);
  const heard = new Map<string, HeardReply>();
  let lastReasons = '';
  while (true) {
    transport.report({ kind: 'discover', bytes: datagram.length, xid: personality.xid });
    transport.broadcast(datagram);
    const sentAt = performance.now();
    const resendAt = Math.min(sentAt + personality.resendMs * transport.timeScale, deadline);
    for await (const reply of replies(personality, transport.inbox, resendAt)) {
      if (readMessageType(reply.message.options) !== 'offer') continue;
      // A server's newest offer replaces its older one; a proxy may share an address with a DHCP server.
      heard.set(`${reply.source} ${reply.message.yiaddr === UNSPECIFIED}`, reply);
      const ms = Math.round(performance.now() - sentAt);
      transport.report(describeOffer(reply, ms));
      const choice = chooseOffer(personality.stage, [...heard.values()]);
      if (choice.kind === 'accepted') {
        warnOfFastReply(personality, ms, transport);
        return choice;
      }
      if (choice.reasons.join() !== lastReasons)
        transport.report({ kind: 'waiting', reasons: choice.reasons });
      lastReasons = choice.reasons.join();
    }
    if (performance.now() >= deadline) throw noOffer(personality, [...heard.values()]);
  }
}

/** The server's ACK or NAK. @throws FirmwareFailure when neither comes in time. */
async function request(
  personality: DhcpPersonality,
  { lease }: Accepted,
  transport: DhcpTransport,
  deadline: number,
): Promise<HeardReply> {
  const server = readIpv4(lease.message.options, OPTION.serverIdentifier) ?? lease.source;
  const datagram = encodeRequest(personality, lease.message.yiaddr, server);
  do {
    transport.report({ kind: 'request', address: lease.message.yiaddr, server });
    transport.broadcast(datagram);
    const resendAt = Math.min(performance.now() + personality.resendMs * transport.timeScale, deadline);
    for await (const reply of replies(personality, transport.inbox, resendAt)) {
      const type = readMessageType(reply.message.options);
      const from = readIpv4(reply.message.options, OPTION.serverIdentifier) ?? reply.source;
      if ((type === 'ack' || type === 'nak') && from === server) return reply;
    }
  } while (performance.now() < deadline);
  throw new FirmwareFailure(
    `${server} offered ${lease.message.yiaddr} but did not acknowledge it within ${personality.timeoutMs / 1000} s (DHCP_TIMEOUT)`,
  );
}

/** Replies to this board's exchange until `until`; anything else is passed over, as firmware does. */
async function* replies(
  personality: DhcpPersonality,
  inbox: Inbox,
  until: number,
): AsyncGenerator<HeardReply> {
  while (true) {
    const datagram = await inbox.next(until);
    if (!datagram) return;
    let message: DhcpMessage;
    try {
      message = decodeMessage(datagram.bytes);
    } catch (error) {
      if (error instanceof WireError) continue;
      throw error;
    }
    const isOurs =
      message.op === 2 && message.xid === personality.xid && message.chaddr === personality.chaddr;
    if (isOurs) yield { source: datagram.source, message };
  }
}

/** From the ACK, or the OFFER where a stage asks for no ACK; what an ACK leaves out, the OFFER said. */
function leaseFrom({ lease, tftpServer }: Accepted, message: DhcpMessage): Lease {
  const offered = lease.message.options;
  const mask = readIpv4(message.options, OPTION.subnetMask) ?? readIpv4(offered, OPTION.subnetMask);
  const routers = readIpv4List(message.options, OPTION.router) ?? readIpv4List(offered, OPTION.router);
  return {
    address: message.yiaddr === UNSPECIFIED ? lease.message.yiaddr : message.yiaddr,
    prefix: mask ? prefixOf(mask) : 24,
    ...(routers?.[0] ? { router: routers[0] } : {}),
    tftpServer,
  };
}

function prefixOf(mask: Ipv4): number {
  return Math.clz32(~ipv4ToNumber(mask));
}

function describeOffer({ source, message }: HeardReply, ms: number): FirmwareEvent {
  const vendor = message.options.get(OPTION.vendorSpecific);
  const printable = vendor ? asciiFromBytes(vendor).match(/[ -~]{4,}/g) : null;
  return {
    kind: 'offer',
    source,
    yiaddr: message.yiaddr,
    siaddr: message.siaddr,
    bootText: vendor ? (printable?.at(-1) ?? '(no text)') : '',
    option66: readText(message.options, OPTION.tftpServerName) ?? '',
    ms,
  };
}

function warnOfFastReply({ stage }: DhcpPersonality, ms: number, { report }: DhcpTransport): void {
  if (stage !== '3b ROM' || ms >= 1_000) return;
  const text = `answered after ${ms} ms: a real 3B's boot ROM can lock up when DHCP and TFTP both answer within 2 s (raspberrypi/firmware#934)`;
  report({ kind: 'note', text });
}

function noOffer({ stage, timeoutMs }: DhcpPersonality, heard: readonly HeardReply[]): FirmwareFailure {
  const choice = chooseOffer(stage, heard);
  const why = choice.kind === 'waiting' ? choice.reasons.join('; ') : 'it came too late';
  const then =
    stage === 'EEPROM'
      ? 'DHCP_TIMEOUT: the boot loader goes on to the next boot mode'
      : 'it stays dead until its power is cycled';
  return new FirmwareFailure(`no usable DHCP offer within ${timeoutMs / 1000} s: ${why} (${then})`);
}
