import { dhcpHabits } from '../boot/firmware.ts';
import type { BootStage } from '../model/boot-pin.ts';
import type { BootView } from '../model/boot-view.ts';
import type { Instant, LeaseChange, LeaseReader } from '../model/lease.ts';
import { lineBudget } from '../model/line-budget.ts';
import type { Log } from '../model/log.ts';
import type { Sighting } from '../model/sighting.ts';
import { throttle } from '../model/throttle.ts';
import type { WarningSink } from '../model/warnings.ts';
import { WireError } from '../net/bytes.ts';
import { type Ipv4, LIMITED_BROADCAST, UNSPECIFIED } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import type { AddressProbe } from './address-probe.ts';
import { quarantine } from './binding.ts';
import { decide } from './decide.ts';
import type { Arrival, Decision, Endpoint, Reply } from './decision.ts';
import { type DhcpMessage, decodeMessage, encodeMessage } from './packet.ts';

/** What is used of a socket: dgram's, or one that reads and sends many datagrams by one system call. */
export interface DatagramSocket {
  /** The bytes may be overwritten once the listener has returned. */
  on(
    event: 'message',
    listener: (bytes: Uint8Array, source: { address: string; port: number }) => void,
  ): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  send(bytes: Uint8Array, port: number, address: string, onSent: (error: Error | null) => void): void;
  close(onClosed: () => void): unknown;
}

export interface DhcpSocket {
  readonly interface: string;
  readonly port: 67 | 4011;
  readonly socket: DatagramSocket;
}

export interface DhcpServerOptions {
  /** Bound sockets, one for each interface and port. They become the server's own: `stop` closes them. */
  readonly sockets: readonly DhcpSocket[];
  readonly view: () => BootView;
  readonly leases: LeaseReader;
  /**
   * Applies the changes to `leases` before it returns, and resolves when they are durable; `undefined` when nothing of
   * them has to be. `decide` is synchronous and so is the first half of this call: no second message is decided on
   * between the two, and one address cannot be given to two clients while the disk is busy.
   */
  readonly commit: (changes: readonly LeaseChange[]) => Promise<void> | undefined;
  readonly onSighting: (sighting: Sighting) => void;
  /** A node begins to boot, or another program of its boot has begun. */
  readonly onStage?: (stage: BootStage) => void;
  /** A Pi 3 is about to fetch its files from this address. */
  readonly onPi3?: (pi: { address: Ipv4; mac: Mac; interface: string }) => void;
  /** Looks whether an address is in use before a client that can wait is offered it. */
  readonly probe?: Pick<AddressProbe, 'ask'>;
  /** Whether nobody may be answered on an interface yet. */
  readonly isHeldBack?: (name: string) => boolean;
  /** What a person should know of for as long as it lasts. */
  readonly warnings?: WarningSink;
  readonly log: Log;
  readonly now: () => Instant;
}

export interface DhcpServer {
  /** What was received, answered and dropped since the start. */
  counters(): Readonly<Record<string, number>>;
  /** Answers nothing more, waits for the commits under way and closes the sockets. */
  stop(): Promise<void>;
}

/** Replies being committed or delayed at one time. Clients ask again, so what is beyond may be dropped. */
const MAX_PENDING = 4096;
const GARBAGE_LOG_INTERVAL_MS = 10_000;
/** A warning about a client comes again with each of its tries. */
const WARNING_INTERVAL_MS = 1000;
const PLAIN_LINES_PER_SECOND = 50;
/** A rack of 200 that is switched on stays readable; who invents as many Pis a second does not fill the disk. */
const BOOT_LINES_PER_SECOND = 200;
const FAULT_LINES_PER_SECOND = 5;
/** Addresses that are found in use, one after the other, before a client is offered one without looking. */
const MOST_PROBES = 3;
const DISK_ALARM = 'LEASES_NOT_STORED';
/**
 * Discard (RFC 863): nobody listens, and no Pi either. The frame counts; its payload is the reply's, which is no riddle to
 * who captures it.
 */
const NUDGE = { port: 9, address: LIMITED_BROADCAST };

/** What a log line says besides its text. */
interface Fields {
  readonly interface: string;
  readonly mac: Mac;
}

/** Joins sockets, codec, policy and lease table. Nothing that a datagram holds can stop it or delay another's reply. */
export function startDhcpServer(options: DhcpServerOptions): DhcpServer {
  const { log, now, warnings } = options;
  const counts = {
    received: 0,
    malformed: 0,
    ignored: 0,
    heldBack: 0,
    inUse: 0,
    silent: 0,
    offer: 0,
    ack: 0,
    nak: 0,
    overload: 0,
    commitFailed: 0,
    sendFailed: 0,
    internalError: 0,
    socketError: 0,
  };
  const pending = new PendingCount();
  const stopped = new AbortController();
  const garbage = throttle(GARBAGE_LOG_INTERVAL_MS, now);
  const repeatedWarning = throttle(WARNING_INTERVAL_MS, now);
  const repeatedFailure = throttle(WARNING_INTERVAL_MS, now);
  const plainLines = lineBudget(PLAIN_LINES_PER_SECOND, now);
  const bootLines = lineBudget(BOOT_LINES_PER_SECOND, now);
  const faults = lineBudget(FAULT_LINES_PER_SECOND, now);

  function receive(from: DhcpSocket, bytes: Uint8Array, source: Endpoint, probes = 0): void {
    if (stopped.signal.aborted) return;
    if (probes === 0) counts.received++;
    if (options.isHeldBack?.(from.interface)) {
      counts.heldBack++;
      return;
    }
    const arrival: Arrival = { interface: from.interface, source, localPort: from.port };
    try {
      const message = decodeMessage(bytes);
      const decision = decide(message, arrival, options.view(), options.leases, now());
      const finder = findUser(decision, message, from, probes);
      if (finder) holdAndProbe({ decision, finder, bytes, from, source, probes });
      else carryOut(decision, message, from);
    } catch (error) {
      if (error instanceof WireError) dropGarbage(arrival, error);
      else fail('internalError', 'DHCP_INTERNAL', arrival, error, 'a message could not be decided on');
    }
  }

  /** Who uses the address that a client is about to be offered for the first time; `undefined`: it is not looked. */
  function findUser(
    decision: Decision,
    { chaddr, giaddr }: DhcpMessage,
    { interface: network }: DhcpSocket,
    probes: number,
  ): Promise<Mac | undefined> | undefined {
    if (!options.probe || probes >= MOST_PROBES || decision.kind !== 'reply') return undefined;
    if (decision.type !== 'offer' || decision.client?.kind === 'pi') return undefined; // it waits for nobody
    if (giaddr !== UNSPECIFIED) return undefined; // ARP does not go beyond the relay
    const address = decision.message.yiaddr;
    if (address === UNSPECIFIED) return undefined; // another server gives it
    const before = options.leases.byAddress(address);
    if (before?.mac === chaddr && before.expiresAt > now()) return undefined; // its own
    return options.probe.ask({ address, network, knownMacs: [chaddr, before?.mac] });
  }

  /** The address is held meanwhile; one that turns out to be in use rests, and the message is decided on anew. */
  function holdAndProbe({ decision, finder, from, source, probes, bytes }: Probing): void {
    if (decision.kind !== 'reply') return;
    const copy = bytes.slice();
    const address = decision.message.yiaddr;
    void options.commit(decision.leaseChanges)?.catch(() => {});
    pending.begin();
    const goOn = (user?: Mac) => {
      pending.end();
      const lease = options.leases.byAddress(address);
      if (user && lease) {
        counts.inUse++;
        const fields = { id: 'DHCP_ADDRESS_IN_USE', interface: from.interface, address, mac: user };
        log.warn(fields, `${address} is used by ${user}, which did not get it from us: it rests for a while`);
        void options.commit(quarantine(lease, now()))?.catch(() => {});
      }
      receive(from, copy, source, user ? probes + 1 : MOST_PROBES);
    };
    finder.then(goOn, () => goOn());
  }

  function carryOut(decision: Decision, message: DhcpMessage, from: DhcpSocket): void {
    const fields = { interface: from.interface, mac: message.chaddr };
    if (decision.sighting) options.onSighting(decision.sighting);
    if (decision.stage) options.onStage?.(decision.stage);
    if (decision.warning) warn(decision.warning, decision.kind, fields);
    if (decision.kind === 'ignore') {
      counts.ignored++;
      log.debug({ id: 'DHCP_IGNORE', ...fields }, decision.reason);
      return;
    }
    if (pending.count >= MAX_PENDING && mustWait(decision)) {
      counts.overload++;
      warn(`${MAX_PENDING} replies are pending: is the disk slow?`, 'ignore', fields);
      return;
    }
    // Both before any waiting: an echoed option is a view into a buffer that the next datagram overwrites; for the other
    // see `commit`.
    const bytes = decision.kind === 'reply' ? encodeMessage(decision.message) : undefined;
    const committed = decision.leaseChanges.length > 0 ? options.commit(decision.leaseChanges) : undefined;
    const finish = () =>
      decision.kind === 'reply' && bytes
        ? answer(decision, bytes, from, fields)
        : keepSilent(decision, fields);
    if (!committed) {
      finish();
      return;
    }
    pending.begin();
    committed.then(
      () => {
        pending.end();
        warnings?.clear(DISK_ALARM);
        finish();
      },
      (error: unknown) => {
        pending.end();
        refuseForDisk(error, fields);
      },
    );
  }

  function keepSilent(decision: Exclude<Decision, { kind: 'ignore' }>, fields: Fields): void {
    if (decision.kind !== 'silent') return;
    counts.silent++;
    plainLines((left) => log.info({ id: 'DHCP_SILENT', ...fields, left }, decision.reason));
  }

  function answer(reply: Reply, bytes: Uint8Array, from: DhcpSocket, fields: Fields): void {
    if (reply.delayMs === 0) {
      sendReply(reply, bytes, from, fields);
      return;
    }
    pending.begin();
    pause(reply.delayMs, stopped.signal).then(() => {
      pending.end();
      if (!stopped.signal.aborted) sendReply(reply, bytes, from, fields);
    });
  }

  function sendReply(reply: Reply, bytes: Uint8Array, { socket }: DhcpSocket, fields: Fields): void {
    const { address, port } = reply.destination;
    pending.begin();
    socket.send(bytes, port, address, (error) => {
      pending.end();
      if (error) {
        fail('sendFailed', 'DHCP_SEND_FAILED', fields, error, `the ${reply.type} could not be sent`);
        return;
      }
      counts[reply.type]++;
      tellReply(reply, fields);
    });
    if (!isPi3Offer(reply)) return;
    socket.send(bytes, NUDGE.port, NUDGE.address, () => {});
    const { yiaddr, giaddr } = reply.message;
    if (yiaddr !== UNSPECIFIED && giaddr === UNSPECIFIED) options.onPi3?.({ ...fields, address: yiaddr });
  }

  /** The offers of machines that want nothing but an address are for debugging, and of a flood of the rest only some. */
  function tellReply(reply: Reply, fields: Fields): void {
    const line = { id: REPLY_ID[reply.type], ...fields, address: reply.message.yiaddr };
    const isPlain = reply.client?.kind === 'plain';
    const lines = isPlain ? plainLines : bootLines;
    const isTold =
      !(isPlain && reply.type === 'offer') && lines((left) => log.info({ ...line, left }, reply.note));
    if (!isTold) log.debug(line, reply.note);
  }

  function refuseForDisk(error: unknown, fields: Fields): void {
    counts.commitFailed++;
    const cause = error instanceof Error ? error.message : String(error);
    warnings?.raise(DISK_ALARM, `leases cannot be stored, so clients are not answered: ${cause}`);
    repeatedFailure((left) =>
      log.error(
        { ...fields, id: 'DHCP_COMMIT_FAILED', err: error, left },
        `the lease could not be stored, so the client is not answered: ${cause}`,
      ),
    );
  }

  /** A change of the leases is told once, and who makes many fills no disk; what comes with each try is left out sooner. */
  function warn(warning: string, kind: Decision['kind'], fields: object): void {
    const lines = kind === 'silent' ? plainLines : repeatedWarning;
    lines((left) => log.warn({ id: 'DHCP_WARNING', ...fields, left }, warning));
  }

  function dropGarbage(arrival: Arrival, error: WireError): void {
    counts.malformed++;
    garbage((left) => {
      const fields = { id: 'DHCP_MALFORMED', interface: arrival.interface, source: arrival.source, left };
      log.warn(fields, `dropped a datagram that is no DHCP message: ${error.message}`);
    });
  }

  function fail(
    counter: keyof typeof counts,
    id: string,
    fields: object,
    error: unknown,
    what: string,
  ): void {
    counts[counter]++;
    const cause = error instanceof Error ? error.message : String(error);
    faults((left) => log.error({ ...fields, id, err: error, left }, `${what}: ${cause}`));
  }

  for (const each of options.sockets) {
    each.socket.on('message', (bytes, source) => receive(each, bytes, source as Endpoint));
    // An interface that goes down is an error of its socket, which works again when the interface is back.
    each.socket.on('error', (error) =>
      fail(
        'socketError',
        'DHCP_SOCKET',
        { interface: each.interface, port: each.port },
        error,
        'socket error',
      ),
    );
  }

  return {
    counters: () => ({ ...counts }),
    async stop() {
      stopped.abort();
      await pending.none();
      await Promise.all(options.sockets.map(({ socket }) => close(socket)));
    },
  };
}

/** Whether this reply has to wait for anything. */
function mustWait(decision: Exclude<Decision, { kind: 'ignore' }>): boolean {
  if (decision.kind === 'reply' && decision.delayMs > 0) return true;
  return decision.leaseChanges.some((change) => change.kind === 'remove' || !change.volatile);
}

interface Probing {
  readonly decision: Decision;
  readonly finder: Promise<Mac | undefined>;
  readonly bytes: Uint8Array;
  readonly from: DhcpSocket;
  readonly source: Endpoint;
  /** Addresses that this message has found in use so far. */
  readonly probes: number;
}

const REPLY_ID = { offer: 'DHCP_OFFER', ack: 'DHCP_ACK', nak: 'DHCP_NAK' } as const;

/** Where a received frame may be held back until another one comes, a tiny broadcast goes right behind the offer. */
function isPi3Offer({ type, client }: Reply): boolean {
  return type === 'offer' && client?.kind === 'pi' && dhcpHabits(client.model).holdsFrames !== undefined;
}

/** How many things are under way, and when there are none. */
class PendingCount {
  count = 0;
  #onNone: Array<() => void> = [];

  begin(): void {
    this.count++;
  }

  end(): void {
    this.count--;
    if (this.count > 0) return;
    for (const resolve of this.#onNone.splice(0)) resolve();
  }

  none(): Promise<void> {
    return new Promise((resolve) => {
      if (this.count === 0) resolve();
      else this.#onNone.push(resolve);
    });
  }
}

function close(socket: DatagramSocket): Promise<void> {
  return new Promise((resolve) => socket.close(resolve));
}

/** Ends early, without an error, when `signal` is aborted. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
