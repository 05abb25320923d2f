import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_SOCKET } from '../../src/model/api-socket.ts';
import type { Served } from './add-and-fetch.ts';
import { api } from './api.ts';
import { Appliance } from './appliance.ts';
import { Host } from './host.ts';
import { sealGeneration } from './sealed.ts';

const OURS = '192.168.172.17';

/** An appliance with a small published image, no NFS, and a machine beside it to measure from. */
export async function makeMeasured(name: string): Promise<{ appliance: Appliance; host: Host }> {
  const settings = 'dhcp: full, pool: 192.168.172.100-192.168.172.199';
  const appliance = await Appliance.make(name, settings, { nfs: 'none', generations: 'generations' });
  await appliance.start();
  await appliance.publish(await sealGeneration(`${appliance.folder}/generations`));
  return { appliance, host: await Host.plugIn(appliance, 'meter', '192.168.172.99/24') };
}

/** Adds nodes and fetches their files, `count` times. */
export async function addAndFetch(
  { appliance, host }: { appliance: Appliance; host: Host },
  how: 'api' | 'cli',
  count: number,
): Promise<Served[]> {
  const results: Served[] = [];
  // As on an installed machine: the socket where it is by default, and a configuration that does not name it.
  const config = `${appliance.folder}/installed.yaml`;
  await writeFile(config, 'interfaces: { br0: { dhcp: proxy } }\n');
  const link = `mkdir /run/netboot; ln -s ${appliance.socket} ${DEFAULT_SOCKET}`;
  const child = host.startScript(
    'add-and-fetch.ts',
    [config, appliance.socket, OURS, how, String(count)],
    (line) => results.push(JSON.parse(line) as Served),
    `mount -t tmpfs run /run; ${link}`,
  );
  await new Promise((resolve) => child.once('close', resolve));
  if (results.length < count) throw new Error(`only ${results.length} of ${count} nodes were served`);
  return results;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}

/** Resident memory of a service with so many nodes that was left alone for 10 s, in MiB. */
export async function idleMemory(
  appliance: Appliance,
  nodes: number,
): Promise<{ rss: number; anon: number }> {
  for (let number = 0; number < nodes; number++) {
    const serial = (0xcc000000 + number).toString(16);
    await api(appliance.socket, 'POST', '/v1/nodes', { serial, name: `rack-${number}` });
  }
  await sleep(10_000);
  const status = await readFile(`/proc/${appliance.pid}/status`, 'utf8');
  const mebibytes = (key: string) =>
    Math.round(Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 102.4) / 10;
  return { rss: mebibytes('VmRSS'), anon: mebibytes('RssAnon') };
}
