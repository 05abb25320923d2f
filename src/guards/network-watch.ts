import { readFile } from 'node:fs/promises';
import { type RivalAnswer, type RivalWatch, watchRivals } from '../dhcp/rivals.ts';
import { listenForBpdus } from '../host/bpdu-socket.ts';
import { openClientPort } from '../host/client-port.ts';
import { Refusal } from '../model/command.ts';
import type { Log } from '../model/log.ts';
import type { WarningSink } from '../model/warnings.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { type Mac, parseMac } from '../net/mac.ts';

/** How long a warning about spanning tree stands after the last BPDU. */
const STP_FORGET_MS = 10 * 60_000;

/** An interface as the watches need it. */
export interface WatchedInterface {
  readonly interface: string;
  readonly address: Ipv4;
  readonly dhcp: 'off' | 'proxy' | 'full';
}

/** The interfaces by their names as they are now: their addresses may change. */
export type CurrentInterfaces = () => ReadonlyMap<string, Pick<WatchedInterface, 'address'>>;

export interface NetworkWatch {
  /**
   * Asks on every `full` interface at once for other DHCP servers; four seconds, less if one answers. Where it could not
   * be asked, that is a standing warning.
   */
  findRivals(): Promise<RivalAnswers>;
  /** What may not be watched, in words: `eth0: spanning tree`. */
  readonly unwatched: readonly string[];
  stop(): Promise<void>;
}

/** By interface, for those that could be asked. */
export type RivalAnswers = ReadonlyMap<string, readonly Ipv4[]>;

/** Watches the wires for what keeps Pis from booting, whoever caused it. What may not be watched is no error. */
export async function watchNetwork(
  interfaces: readonly WatchedInterface[],
  { current, warnings, log }: { current: CurrentInterfaces; warnings: WarningSink; log: Log },
): Promise<NetworkWatch> {
  await using parts = new AsyncDisposableStack();
  const unwatched: string[] = [];
  const rivals = new Map<string, RivalWatch>();
  const giveUp = (name: string, what: string, error: unknown) => {
    if (!(error instanceof Refusal)) throw error;
    unwatched.push(`${name}: ${what}`);
    log.info({ id: 'NOT_WATCHED', interface: name, what }, error.message);
  };
  const warnUnasked = (name: string, cause: string) =>
    warnings.raise(
      `DHCP_NOT_ASKED ${name}`,
      `nobody knows whether another DHCP server is on ${name}, since it could not be asked: ${cause}`,
    );
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
        parts.adopt(await openRivalWatch(name, current, warnings), (watch) => watch.close()),
      );
    } catch (error) {
      giveUp(name, 'other DHCP servers', error);
      warnUnasked(name, (error as Refusal).message);
    }
  }
  const opened = parts.move();
  return {
    async findRivals() {
      const answers = new Map<string, readonly Ipv4[]>();
      const ask = async ([name, watch]: [string, RivalWatch]) => {
        const { servers, fault } = await watch.ask();
        if (fault === undefined || servers.length > 0) answers.set(name, servers);
        else warnUnasked(name, fault);
      };
      await Promise.all([...rivals].map(ask));
      return answers;
    },
    unwatched,
    stop: () => opened.disposeAsync(),
  };
}

/** The DHCP servers on an interface. @throws Refusal where it is not allowed to look, or port 68 is taken. */
export async function findDhcpServers(name: string, address: Ipv4): Promise<RivalAnswer> {
  const nobody: WarningSink = { raise() {}, clear() {} };
  const watch = await openRivalWatch(name, () => new Map([[name, { address }]]), nobody);
  try {
    return await watch.ask();
  } finally {
    await watch.close();
  }
}

async function openRivalWatch(
  name: string,
  current: CurrentInterfaces,
  warnings: WarningSink,
): Promise<RivalWatch> {
  return watchRivals({
    interface: name,
    socket: await openClientPort(name, () => current().get(name)?.address),
    mac: await macOf(name),
    isOurs: (server) =>
      current()
        .values()
        .some(({ address }) => address === server),
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
