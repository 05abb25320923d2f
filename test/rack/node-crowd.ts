import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { openUdp } from '../../src/host/udp.ts';
import { type Ipv4, LIMITED_BROADCAST } from '../../src/net/ipv4.ts';
import type { Serial } from '../../src/net/serial.ts';
import { type AgentCondition, runAgent } from '../../src/sim/agent.ts';
import { boardOf } from '../../src/sim/board.ts';
import { eepromPersonality, encodeDiscover } from '../../src/sim/dhcp-personality.ts';

/**
 * A program for a machine of the rack that has all the addresses of a crowd of nodes: `node-crowd.ts FILE`, of which each
 * goes its way to where its part ends. Writes a line for each that is there.
 */
export interface CrowdMember {
  readonly serial: Serial;
  readonly address: Ipv4;
  readonly part: Part;
}

export type Part =
  | 'asks'
  | 'loads'
  | 'has its kernel'
  | 'mounts'
  | 'starts'
  | 'is up'
  | 'fails'
  | 'lies'
  | 'stops'
  | 'falls silent';

export interface Crowd {
  readonly server: Ipv4;
  readonly port: number;
  readonly generation: string;
  readonly members: readonly CrowdMember[];
}

/** So many are on their way at once. */
const AT_ONCE = 16;
const NFS_PORT = 2049;

const crowd = JSON.parse(await readFile(process.argv[2] as string, 'utf8')) as Crowd;
const { server, port, generation } = crowd;
const udp = await openUdp({ interface: 'eth0', port: 68, checksum: false });

function discover(serial: Serial): Promise<void> {
  const board = boardOf({ model: 'pi4', serial });
  const bytes = encodeDiscover(eepromPersonality(board, Number.parseInt(serial, 16)));
  return new Promise((resolve) => udp.send(Buffer.from(bytes), 67, LIMITED_BROADCAST, () => resolve()));
}

function fetchFile({ serial, address }: CrowdMember, name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: server, path: `/${serial}/${name}`, localAddress: address, agent: false });
    asked.on('error', reject);
    asked.on('response', async (response) => {
      const text = Buffer.concat((await response.toArray()) as Buffer[]).toString('latin1');
      if (response.statusCode === 200) resolve(text);
      else reject(new Error(`${name} of ${serial}: ${response.statusCode} ${text}`));
    });
    asked.end();
  });
}

/** As far as the part goes without a system; gives the token of the command line. */
async function boot(member: CrowdMember): Promise<string> {
  await discover(member.serial);
  if (member.part === 'asks') {
    // As firmware does: on a busy machine a datagram gets lost.
    for (let time = 1; time < 4; time++) {
      await sleep(1000);
      await discover(member.serial);
    }
    return '';
  }
  await fetchFile(member, 'config.txt');
  await fetchFile(member, 'start4.elf');
  const cmdline = await fetchFile(member, 'cmdline.txt');
  if (member.part === 'loads') return '';
  await fetchFile(member, 'kernel8.img');
  return /netboot\.token=(\S+)/.exec(cmdline)?.[1] ?? '';
}

const CONDITIONS: Partial<Record<Part, AgentCondition>> = {
  starts: { state: 'starting' },
  fails: { state: 'degraded', failed: ['nginx.service'], target: 'web-cluster-node.target' },
};

/** Resolves when the node has reported once; it goes on for as long as its part says. */
function live({ serial, address, part }: CrowdMember, token: string): Promise<void> {
  const power = new AbortController();
  return new Promise((resolve) => {
    void runAgent({
      server,
      port,
      localAddress: address,
      serial,
      token,
      generation: part === 'lies' ? 'web-ffffffffffff' : generation,
      condition: () => CONDITIONS[part] ?? { state: 'running', target: 'web-cluster-node.target' },
      // The clock of a board without one, which was never set.
      clock: () => 7,
      report: (event) => {
        if (event.kind === 'trouble') console.error(`${serial}: ${event.text}`);
        if (event.kind === 'reported') resolve();
        if (event.kind === 'reported' && part === 'falls silent') power.abort();
      },
      ...(part === 'falls silent' ? { waitSeconds: 0 } : {}),
      signal: power.signal,
    });
  });
}

async function play(member: CrowdMember): Promise<void> {
  const token = await boot(member);
  const { part, address } = member;
  if (part === 'mounts') {
    await sleep(3000); // as long as no kernel is faster
    await new Promise<void>((resolve) => {
      connect({ host: server, port: NFS_PORT, localAddress: address }, resolve);
    });
  }
  if (['starts', 'is up', 'fails', 'lies', 'stops', 'falls silent'].includes(part)) void live(member, token);
  console.log(member.serial);
}

const left = [...crowd.members];
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let member = left.shift(); member; member = left.shift())
      await play(member).catch((error) => console.error(`${member?.serial}: ${error.message}`));
  }),
);
console.log('all');
setInterval(() => {}, 60_000);
