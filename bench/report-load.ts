import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Ipv4, ipv4FromNumber, ipv4ToNumber, parseIpv4 } from '../src/net/ipv4.ts';
import type { Serial } from '../src/net/serial.ts';
import { type AgentEvent, runAgent } from '../src/sim/agent.ts';
import { readAgentWords } from '../src/sim/agent-cmdline.ts';

/**
 * Simulated nodes that have booted: each with an address of its own fetches its command line over HTTP, its identity with
 * the token in that, and reports once a minute from then on, waiting for orders. Prints what happened as a line of JSON
 * every second, and runs until it is ended.
 *
 *   report-load.ts SERVER FIRST_ADDRESS NODES SPREAD_SECONDS
 *
 * The addresses have to be local ones: `ip route add local 10.99.0.0/16 dev lo`. It runs as root, as identities go to root
 * alone.
 */
export interface ReportLoad {
  /** Nodes with an identity, and with a report that was taken. */
  readonly identities: number;
  readonly reporting: number;
  readonly reports: number;
  readonly orders: number;
  readonly troubles: number;
  readonly lastTrouble?: string | undefined;
}

const ATTEMPTS = 5;
/** No Pi is reset and has its link again sooner: what comes sooner belongs to the boot before. */
const RESET_MS = 3000;

/** Of the nth node, from 0. */
export const serialOfNode = (nth: number): Serial => (0x10000000 + nth).toString(16) as Serial;

if (import.meta.main) await main(process.argv.slice(2));

async function main([serverText = '', firstText = '', nodesText, spreadText]: string[]): Promise<void> {
  const [server, first] = [parseIpv4(serverText), parseIpv4(firstText)];
  const [nodes, spreadMs] = [Number(nodesText), Number(spreadText) * 1000];
  if (!server || !first || !(nodes > 0) || !(spreadMs >= 0))
    throw new Error('usage: report-load.ts SERVER FIRST_ADDRESS NODES SPREAD_SECONDS');
  const load = { identities: 0, reporting: 0, reports: 0, orders: 0, troubles: 0 } as {
    -readonly [K in keyof ReportLoad]: ReportLoad[K];
  };
  const hasReported = new Set<number>();
  const hear = (nth: number) => (event: AgentEvent) => {
    if (event.kind === 'identity') load.identities += 1;
    else if (event.kind === 'reported') {
      load.reports += 1;
      load.reporting = hasReported.add(nth).size;
    } else if (event.kind === 'order') load.orders += 1;
    else {
      load.troubles += 1;
      load.lastTrouble = event.text;
    }
  };
  setInterval(() => console.log(JSON.stringify(load satisfies ReportLoad)), 1000);
  await Promise.all(
    Array.from({ length: nodes }, async (_, nth) => {
      await sleep((nth / nodes) * spreadMs);
      const address = ipv4FromNumber(ipv4ToNumber(first) + nth);
      for (;;) {
        await live(server, address, serialOfNode(nth), hear(nth));
        await sleep(RESET_MS);
      }
    }),
  );
}

/** One boot, until it is told to reboot. */
async function live(
  server: Ipv4,
  address: Ipv4,
  serial: Serial,
  report: (event: AgentEvent) => void,
): Promise<void> {
  // A boot asks for config.txt first: by that, asked for again, the service knows that another one begins.
  await fetchFile(server, address, `${serial}/config.txt`);
  const words = readAgentWords(await fetchFile(server, address, `${serial}/cmdline.txt`));
  await fetchFile(server, address, `${serial}/kernel8.img`);
  if (!words?.token) throw new Error('the command line has no token');
  const { token, generation, port, target } = words;
  const condition = () => ({ state: 'running' as const, target });
  const { signal } = new AbortController();
  await runAgent({
    server,
    port,
    localAddress: address,
    serial,
    token,
    generation,
    condition,
    report,
    signal,
  });
}

async function fetchFile(server: Ipv4, address: Ipv4, path: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await get(server, address, path);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await sleep(1000);
    }
  }
}

function get(server: Ipv4, address: Ipv4, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: server, path: `/${path}`, localAddress: address, agent: false };
    const asked = request(options, async (response) => {
      const text = (await response.toArray()).join('');
      if (response.statusCode === 200) resolve(text);
      else reject(new Error(`${path}: HTTP status ${response.statusCode}`));
    });
    asked.on('error', reject);
    asked.end();
  });
}
