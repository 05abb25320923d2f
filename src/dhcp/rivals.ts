import type { WarningSink } from '../model/warnings.ts';
import { WireError } from '../net/bytes.ts';
import { type Ipv4, LIMITED_BROADCAST, UNSPECIFIED } from '../net/ipv4.ts';
import { type Mac, macFromBytes, macToBytes } from '../net/mac.ts';
import { MESSAGE_TYPE, OPTION, readIpv4, readMessageType, textBytes } from './options.ts';
import { BROADCAST_FLAG, type DhcpMessage, decodeMessage, encodeMessage } from './packet.ts';
import type { DatagramSocket } from './server.ts';

const SERVER_PORT = 67;
/** A DISCOVER may be lost, and dnsmasq first pings the address that it is about to offer, for three seconds. */
const ASK_AT_MS = [0, 1500];
const LISTEN_MS = 4000;
/** A rival that was not heard for so long is no warning any more: twice the time after which clients renew, mostly. */
const FORGET_MS = 60 * 60_000;
/** Named at most; who forges answers of many servers must fill neither memory nor log. */
const MOST_NAMED = 8;

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

export interface RivalAnswer {
  /** The DHCP servers that answered, or were heard before. */
  readonly servers: readonly Ipv4[];
  /** Why the question could not be sent, if it could not: then silence says nothing. */
  readonly fault?: string | undefined;
}

export interface RivalWatch {
  /** Asks for an address, as a client would. Takes four seconds, less if a server answers. */
  ask(): Promise<RivalAnswer>;
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
  let areMore = false;
  let forgetting: NodeJS.Timeout | undefined;

  socket.on('message', (bytes, source) => {
    const server = rivalIn(bytes, source.address as Ipv4);
    if (!server || options.isOurs(server) || options.isOurs(source.address as Ipv4)) return;
    if (forgetting) forgetting.refresh();
    else forgetting = setTimeout(forget, FORGET_MS).unref();
    if (isNew(server)) warn();
    onAnswer?.();
  });
  socket.on('error', () => {});

  /** Whether the warning has to be another one for it; remembers it, as far as there is room. */
  function isNew(server: Ipv4): boolean {
    if (areMore || heard.has(server)) return false;
    if (heard.size < MOST_NAMED) heard.add(server);
    else areMore = true;
    return true;
  }

  function warn(): void {
    const servers = `${[...heard].join(', ')}${areMore ? ' and others' : ''}`;
    const remedy = `switch one off, or set interfaces.${options.interface}.dhcp to proxy`;
    warnings.raise(
      warning,
      `another DHCP server answers on ${options.interface}: ${servers}. Two servers that do not know each other give one address twice: ${remedy}`,
    );
  }

  function forget(): void {
    forgetting = undefined;
    areMore = false;
    heard.clear();
    warnings.clear(warning);
  }

  function discover(onSent: (error: Error | null) => void): void {
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
    socket.send(encodeMessage(message), SERVER_PORT, LIMITED_BROADCAST, onSent);
  }

  return {
    ask() {
      return new Promise((resolve) => {
        let fault: string | undefined = 'it was not sent';
        const end = () => {
          onAnswer = undefined;
          for (const timer of timers) clearTimeout(timer);
          timers.clear();
          resolve({ servers: [...heard], fault });
        };
        onAnswer = end;
        const onSent = (error: Error | null) => {
          if (fault !== undefined) fault = error?.message;
        };
        for (const delay of ASK_AT_MS) timers.add(setTimeout(discover, delay, onSent));
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
