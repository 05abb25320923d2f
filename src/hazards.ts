import { access, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AddressProbe } from './dhcp/address-probe.ts';
import { type RivalWatch, watchRivals } from './dhcp/rivals.ts';
import type { DhcpSocket } from './dhcp/server.ts';
import { listenForBpdus } from './host/bpdu-socket.ts';
import { openClientPort } from './host/client-port.ts';
import { NeighbourPins } from './host/neighbour-pins.ts';
import { neighbours } from './host/neighbours.ts';
import { Refusal, type Run } from './model/command.ts';
import type { LeaseReader } from './model/lease.ts';
import type { Log } from './model/log.ts';
import type { WarningSink } from './model/warnings.ts';
import type { Ipv4 } from './net/ipv4.ts';
import { type Mac, parseMac } from './net/mac.ts';

/** How long a warning about spanning tree stands after the last BPDU. */
const STP_FORGET_MS = 10 * 60_000;
const DISCARD_PORT = 9;

/** An interface as the watches need it. */
export interface WatchedInterface {
  readonly interface: string;
  readonly address: Ipv4;
  readonly dhcp: 'off' | 'proxy' | 'full';
}

export interface NetworkWatch {
  /**
   * Asks on every `full` interface at once for other DHCP servers; four seconds, less if one answers.
   * @throws Refusal naming those that answered.
   */
  refuseRivals(): Promise<void>;
  /** What may not be watched, in words: `eth0: spanning tree`. */
  readonly unwatched: readonly string[];
  stop(): Promise<void>;
}

/** Watches the wires for what keeps Pis from booting, whoever caused it. What may not be watched is no error. */
export async function watchNetwork(
  interfaces: readonly WatchedInterface[],
  { warnings, log }: { warnings: WarningSink; log: Log },
): Promise<NetworkWatch> {
  await using parts = new AsyncDisposableStack();
  const unwatched: string[] = [];
  const rivals = new Map<string, RivalWatch>();
  const giveUp = (name: string, what: string, error: unknown) => {
    if (!(error instanceof Refusal)) throw error;
    unwatched.push(`${name}: ${what}`);
    log.info({ id: 'NOT_WATCHED', interface: name, what }, error.message);
  };
  for (const watched of interfaces) {
    const { interface: name, dhcp } = watched;
    if (dhcp === 'off') continue;
    try {
      parts.defer(watchSpanningTree(name, warnings));
    } catch (error) {
      giveUp(name, 'spanning tree', error);
    }
    if (dhcp !== 'full') continue;
    try {
      rivals.set(
        name,
        parts.adopt(await openRivalWatch(watched, interfaces, warnings), (watch) => watch.close()),
      );
    } catch (error) {
      giveUp(name, 'other DHCP servers', error);
    }
  }
  const opened = parts.move();
  return {
    async refuseRivals() {
      const asked = [...rivals].map(async ([name, watch]) => ({ name, servers: await watch.ask() }));
      for (const { name, servers } of await Promise.all(asked))
        if (servers.length > 0) throw rivalRefusal(name, servers);
    },
    unwatched,
    stop: () => opened.disposeAsync(),
  };
}

/** The DHCP servers on an interface. @throws Refusal where it is not allowed to look, or port 68 is taken. */
export async function findDhcpServers(watched: WatchedInterface): Promise<readonly Ipv4[]> {
  const nobody: WarningSink = { raise() {}, clear() {} };
  const watch = await openRivalWatch(watched, [watched], nobody);
  try {
    return await watch.ask();
  } finally {
    await watch.close();
  }
}

async function openRivalWatch(
  { interface: name, address }: WatchedInterface,
  all: readonly WatchedInterface[],
  warnings: WarningSink,
): Promise<RivalWatch> {
  return watchRivals({
    interface: name,
    socket: await openClientPort(name, address),
    mac: await macOf(name),
    isOurs: (server) => all.some((each) => each.address === server),
    warnings,
  });
}

/** Gives what ends it. */
function watchSpanningTree(name: string, warnings: WarningSink): () => void {
  const id = `SPANNING_TREE ${name}`;
  let forgetting: NodeJS.Timeout | undefined;
  const end = listenForBpdus(name, (bridge) => {
    const text = `the switch at ${name} runs spanning tree (BPDUs from ${bridge}): a port that takes 30 s to forward makes a Pi 3 give up and others slow. Make the Pis' ports edge ports (PortFast, RSTP "admin edge"), or switch spanning tree off there`;
    warnings.raise(id, text);
    clearTimeout(forgetting);
    forgetting = setTimeout(() => warnings.clear(id), STP_FORGET_MS).unref();
  });
  return () => {
    clearTimeout(forgetting);
    end();
  };
}

async function macOf(name: string): Promise<Mac> {
  const text = await readFile(`/sys/class/net/${name}/address`, 'utf8').catch(() => '');
  return parseMac(text) ?? ('02:00:00:00:00:01' as Mac); // an interface without one, as a tunnel
}

function rivalRefusal(name: string, servers: readonly Ipv4[]): Refusal {
  return new Refusal(
    `Another DHCP server answers on interface "${name}": ${servers.join(', ')}`,
    `Switch it off, or set interfaces.${name}.dhcp to proxy, which works beside it; "netboot serve --force" starts all the same.`,
  );
}

/** Holds DHCP back on `full` interfaces until it is known that no other server is there. */
export interface DhcpGate {
  isHeldBack(name: string): boolean;
  /** Rejects with a Refusal when another server is there; never resolves. */
  readonly refused: Promise<never>;
  /** The service ends as it should. */
  stop(): Promise<void>;
}

/**
 * With `force` the answer is not waited for and refuses nothing. A service that was killed in the midst of its work goes
 * on at once, since its rack is waiting, and asks beside: so says a file that stays behind in the state folder.
 */
export async function openGate({
  interfaces,
  watch,
  stateFolder,
  force,
  log,
}: {
  interfaces: readonly WatchedInterface[];
  watch: NetworkWatch;
  stateFolder: string;
  force: boolean;
  log: Log;
}): Promise<DhcpGate> {
  const full = new Set(interfaces.flatMap(({ interface: name, dhcp }) => (dhcp === 'full' ? [name] : [])));
  const marker = join(stateFolder, 'dhcp-is-served');
  const wasKilled = await access(marker).then(
    () => true,
    () => false,
  );
  let isOpen = force || wasKilled;
  const { promise: refused, reject } = Promise.withResolvers<never>();
  refused.catch(() => {}); // whoever waits for it hears of it
  const open = async () => {
    await writeFile(marker, '');
    isOpen = true;
    log.info({ id: 'DHCP_OPEN', interfaces: [...full] }, 'DHCP is served: no other server is there');
  };
  const asked = full.size === 0 ? Promise.resolve() : watch.refuseRivals().then(open, force ? open : reject);
  asked.catch((error: unknown) => reject(error)); // the marker could not be written
  return {
    isHeldBack: (name) => !isOpen && full.has(name),
    refused,
    stop: () => rm(marker, { force: true }),
  };
}

/** Guards for the addresses that are given away: nobody gets one in use, and a Pi 3 keeps the one it transfers with. */
export interface AddressGuards {
  readonly probe: AddressProbe;
  readonly onPi3: (pi: { address: Ipv4; mac: Mac; interface: string }) => void;
  stop(): Promise<void>;
}

export function guardAddresses({
  sockets,
  leases,
  run,
  log,
}: {
  sockets: readonly DhcpSocket[];
  leases: LeaseReader;
  run: Run;
  log: Log;
}): AddressGuards {
  const pins = new NeighbourPins({ run, leases, log, now: Date.now });
  return {
    probe: new AddressProbe({
      // To the discard port (RFC 863): whether anybody listens there is all the same, the kernel has to find the machine first.
      provoke: (address, network) =>
        sockets
          .find((each) => each.interface === network)
          ?.socket.send(Uint8Array.of(0), DISCARD_PORT, address, () => {}),
      neighbours,
      now: Date.now,
    }),
    onPi3: (pi) => void pins.pin(pi),
    stop: () => pins.stop(),
  };
}
