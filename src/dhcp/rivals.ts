import type { WarningSink } from '../model/warnings.ts';
import { WireError } from '../net/bytes.ts';
import { type Ipv4, LIMITED_BROADCAST, UNSPECIFIED } from '../net/ipv4.ts';
import { type Mac, macFromBytes, macToBytes } from '../net/mac.ts';
import { MESSAGE_TYPE, OPTION, readIpv4, readMessageType, textBytes } from './options.ts';
import { type DhcpMessage, decodeMessage, encodeMessage } from './packet.ts';
import type { DatagramSocket } from './server.ts';

const SERVER_PORT = 67;
const BROADCAST_FLAG = 0x8000;
/** A DISCOVER may be lost, and dnsmasq first pings the address that it is about to offer, for three seconds. */
const ASK_AT_MS = [0, 1500];
const LISTEN_MS = 4000;
/** A rival that was not heard for so long is no warning any more: twice the time after which clients renew, mostly. */
const FORGET_MS = 60 * 60_000;

export interface RivalWatchOptions {
  readonly interface: string;
  /** Hears what DHCP servers broadcast to port 68; its own from now on. */
  readonly socket: DatagramSocket;
  /** Of the interface: the DISCOVER is sent in the name of a locally administered one made from it. */
  readonly mac: Mac;
  /** Whether an address is one of this machine. */
  readonly isOurs: (address: Ipv4) => boolean;
  readonly warnings: WarningSink;
}

export interface RivalWatch {
  /** Asks for an address, as a client would; gives the DHCP servers that answered. Takes four seconds, less if one does. */
  ask(): Promise<readonly Ipv4[]>;
  close(): Promise<void>;
}

/**
 * Watches out for other DHCP servers on an interface: two that know nothing of each other give one address to two
 * machines, and a Pi boots from whichever answers first. Servers that offer no address (proxyDHCP) are none.
 */
export function watchRivals(options: RivalWatchOptions): RivalWatch {
  const { socket, warnings } = options;
  const warning = `DHCP_RIVAL ${options.interface}`;
  const heard = new Set<Ipv4>();
  const asked = { xid: Math.floor(Math.random() * 2 ** 32), mac: localMac(options.mac) };
  const timers = new Set<NodeJS.Timeout>();
  let onAnswer: (() => void) | undefined;
  let forgetting: NodeJS.Timeout | undefined;

  socket.on('message', (bytes, source) => {
    const server = rivalIn(bytes, source.address as Ipv4);
    if (!server || options.isOurs(server) || options.isOurs(source.address as Ipv4)) return;
    heard.add(server);
    const text = `another DHCP server answers on ${options.interface}: ${[...heard].join(', ')}. Two servers that do not know each other give one address twice: switch one off, or set interfaces.${options.interface}.dhcp to proxy`;
    warnings.raise(warning, text);
    clearTimeout(forgetting);
    forgetting = setTimeout(forget, FORGET_MS).unref();
    onAnswer?.();
  });
  socket.on('error', () => {});

  function forget(): void {
    heard.clear();
    warnings.clear(warning);
  }

  function discover(): void {
    const message: DhcpMessage = {
      ...{ op: 1, htype: 1, hops: 0, xid: asked.xid, secs: 0, flags: BROADCAST_FLAG, sname: '', file: '' },
      ...{ ciaddr: UNSPECIFIED, yiaddr: UNSPECIFIED, siaddr: UNSPECIFIED, giaddr: UNSPECIFIED },
      chaddr: asked.mac,
      options: new Map([
        [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.discover)],
        [OPTION.parameterRequestList, Uint8Array.of(OPTION.subnetMask, OPTION.router)],
        [OPTION.vendorClass, textBytes(PROBE_CLASS)],
      ]),
    };
    socket.send(encodeMessage(message), SERVER_PORT, LIMITED_BROADCAST, () => {});
  }

  return {
    ask() {
      return new Promise((resolve) => {
        const end = () => {
          onAnswer = undefined;
          for (const timer of timers) clearTimeout(timer);
          timers.clear();
          resolve([...heard]);
        };
        onAnswer = end;
        for (const delay of ASK_AT_MS) timers.add(setTimeout(discover, delay));
        timers.add(setTimeout(end, LISTEN_MS));
      });
    },
    close() {
      for (const timer of timers) clearTimeout(timer);
      clearTimeout(forgetting);
      return new Promise((resolve) => socket.close(resolve));
    },
  };
}

/** Says in a capture what this is; no server treats it as a class of its own. */
const PROBE_CLASS = 'netboot-search';

/** The server behind an answer that gives or refuses an address. */
function rivalIn(bytes: Uint8Array, source: Ipv4): Ipv4 | undefined {
  try {
    const message = decodeMessage(bytes);
    if (message.op !== 2) return undefined;
    const type = readMessageType(message.options);
    const givesAddress = (type === 'offer' || type === 'ack') && message.yiaddr !== UNSPECIFIED;
    if (!givesAddress && type !== 'nak') return undefined;
    return readIpv4(message.options, OPTION.serverIdentifier) ?? source;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** With the bit that says "not from a maker": always the same, so that a server holds one address for us, not many. */
function localMac(mac: Mac): Mac {
  const bytes = macToBytes(mac);
  bytes[0] = ((bytes[0] as number) | 0x02) & 0xfe;
  return macFromBytes(bytes);
}
