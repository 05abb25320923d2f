import { access, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal } from '../model/command.ts';
import type { Log } from '../model/log.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { NetworkWatch, RivalAnswers, WatchedInterface } from './network-watch.ts';

/** Of the process that is refused for a rival: no restart would mend it (RestartPreventExitStatus= of the unit). */
export const RIVAL_EXIT_CODE = 3;

/** Holds DHCP back on `full` interfaces until it is known that no other server is there. */
export interface DhcpGate {
  isHeldBack(name: string): boolean;
  /** Resolves when DHCP is served. Rejects with a Refusal when another server is there. */
  readonly opened: Promise<void>;
  /** The service ends as it should. */
  stop(): Promise<void>;
}

/**
 * With `force` the answer is not waited for and refuses nothing. Nor is it for a service that was killed in the midst of
 * its work: its rack is waiting, and another server is one that came later. So says a file that stays behind in the state
 * folder.
 */
export async function openGate({
  interfaces,
  watch,
  stateFolder,
  force,
  log,
}: {
  interfaces: readonly WatchedInterface[];
  watch: Pick<NetworkWatch, 'findRivals'>;
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
  let isStopped = false;
  let isOpen = force || wasKilled || full.size === 0;

  async function decide(): Promise<void> {
    const answers = await watch.findRivals();
    for (const [name, servers] of answers)
      if (servers.length > 0 && !isOpen) throw rivalRefusal(name, servers);
    if (isStopped) return;
    await writeFile(marker, '');
    isOpen = true;
    log.info({ id: 'DHCP_OPEN', interfaces: [...full] }, `DHCP is served: ${whatIsThere(full, answers)}`);
  }

  const decided = full.size === 0 ? Promise.resolve() : decide();
  const opened = isOpen ? Promise.resolve() : decided;
  decided.catch((error: unknown) => {
    if (isOpen) log.error({ id: 'DHCP_GATE', err: error }, 'it could not be noted that DHCP is served');
  });
  return {
    isHeldBack: (name) => !isOpen && full.has(name),
    opened,
    stop() {
      isStopped = true;
      return rm(marker, { force: true });
    },
  };
}

/** `no other server answered on eth0; eth1 could not be asked`. */
function whatIsThere(full: ReadonlySet<string>, answers: RivalAnswers): string {
  const told = [...full].map((name) => {
    const servers = answers.get(name);
    if (!servers) return `${name} could not be asked`;
    return servers.length > 0
      ? `beside ${servers.join(', ')} on ${name}`
      : `no other server answered on ${name}`;
  });
  return told.join('; ');
}

function rivalRefusal(name: string, servers: readonly Ipv4[]): Refusal {
  return new Refusal(
    `Another DHCP server answers on interface "${name}": ${servers.join(', ')}`,
    `Switch it off, or set interfaces.${name}.dhcp to proxy, which works beside it; "netboot serve --force" starts all the same.`,
    { exitCode: RIVAL_EXIT_CODE },
  );
}
