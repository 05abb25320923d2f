import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal, type Run } from '../model/command.ts';
import { parseIpv4 } from '../net/ipv4.ts';
import { matchSerial, type Serial } from '../net/serial.ts';
import type { Board } from './board.ts';
import { unplugAll } from './outlet.ts';

/**
 * A rack is a network namespace `nb-<rack>` with a bridge `br0`, in which the appliance runs; each Pi has a
 * namespace `nb-<rack>-<serial>` of its own, its `eth0` being plugged into that bridge. Nothing of it ever shows
 * in the machine's own namespace: the cables are made directly between the two.
 */

export interface RackOptions {
  /** The appliance's address on `br0` with its prefix length, e.g. `192.168.172.17/24`. */
  readonly address: string;
}

export function rackNamespace(rack: string): string {
  return `nb-${rack}`;
}

export function piNamespace(rack: string, serial: Serial): string {
  return `nb-${rack}-${serial}`;
}

/** Makes the rack, or completes one that is there already. @throws Refusal for a name or address that cannot be. */
export async function createRack(run: Run, rack: string, { address }: RackOptions): Promise<void> {
  checkName(rack);
  if (!parseIpv4(address.split('/')[0] ?? '') || !/\/([1-9]|[12]\d|30)$/.test(address))
    throw new Refusal(`"${address}" is no address for a rack`, 'Write it like 192.168.172.17/24.');
  const namespace = rackNamespace(rack);
  await makeNamespace(run, namespace);
  const inRack = ['-n', namespace];
  const links = await run('ip', [...inRack, '-brief', 'link', 'show', 'type', 'bridge']);
  if (!/^br0\b/m.test(links)) {
    // An address of its own: a bridge otherwise changes its MAC with the Pis that come and go.
    const bridge = ['type', 'bridge', 'stp_state', '0', 'forward_delay', '0', 'mcast_snooping', '0'];
    await run('ip', [...inRack, 'link', 'add', 'br0', 'address', '02:4e:42:00:00:01', ...bridge]);
  }
  await run('ip', [...inRack, 'address', 'replace', address, 'dev', 'br0']);
  await run('ip', [...inRack, 'link', 'set', 'br0', 'up']);
}

/** Powers a Pi's board: its namespace and cable. @throws Refusal when that Pi is running, or there is no such rack. */
export async function plugIn(run: Run, rack: string, board: Pick<Board, 'serial' | 'mac'>): Promise<string> {
  checkName(rack);
  const namespaces = await listNamespaces(run);
  if (!namespaces.includes(rackNamespace(rack)))
    throw new Refusal(`There is no rack "${rack}"`, `Make it first: netboot sim rack-up ${rack}`);
  const namespace = piNamespace(rack, board.serial);
  if (namespaces.includes(namespace) && (await pidsOf(run, namespace)).length > 0)
    throw new Refusal(
      `The virtual Pi ${board.serial} is already running in rack "${rack}"`,
      'Stop it, or give another serial number.',
    );
  await unplug(run, rack, board.serial); // what is left of one that was killed
  await makeNamespace(run, namespace);
  await writeSetting(run, namespace, 'net/ipv6/conf/all/disable_ipv6', 1);
  await writeSetting(run, namespace, 'net/ipv4/conf/all/rp_filter', 0);
  const port = portOf(board.serial);
  const rackSide = ['-n', rackNamespace(rack), 'link'];
  const piSide = ['peer', 'name', 'eth0', 'address', board.mac, 'netns', namespace];
  await run('ip', [...rackSide, 'add', port, 'type', 'veth', ...piSide]);
  await run('ip', [...rackSide, 'set', port, 'master', 'br0', 'up']);
  await run('ip', ['-n', namespace, 'link', 'set', 'eth0', 'up']);
  return namespace;
}

/** Cuts a Pi's power: whatever runs in its namespace ends, and the namespace and its cable are gone. */
export async function unplug(run: Run, rack: string, serial: Serial): Promise<void> {
  await removeNamespace(run, piNamespace(rack, serial));
  // The kernel takes a namespace's interfaces away some time later; the next Pi of that serial needs the port now.
  const port = portOf(serial);
  const ports = await run('ip', ['-n', rackNamespace(rack), '-brief', 'link', 'show', 'type', 'veth']);
  if (!new RegExp(`^${port}@`, 'm').test(ports)) return;
  await run('ip', ['-n', rackNamespace(rack), 'link', 'delete', port]).catch(async (error: unknown) => {
    const left = await run('ip', ['-n', rackNamespace(rack), '-brief', 'link', 'show', 'type', 'veth']);
    if (left.includes(`${port}@`)) throw error; // otherwise the kernel was quicker
  });
}

/** Nothing goes through a Pi's cable any more, in either direction; where there is none, nothing does anyway. */
export async function pullCable(run: Run, rack: string, serial: Serial): Promise<void> {
  await run('ip', ['-n', rackNamespace(rack), 'link', 'set', portOf(serial), 'down']).catch(() => {});
}

/** Name of the rack's end of a Pi's cable. */
export function portOf(serial: Serial): string {
  return `pi${serial}`;
}

/** Takes the whole rack down, Pis first. A rack that is not there is no error. */
export async function removeRack(run: Run, rack: string): Promise<void> {
  checkName(rack);
  await unplugAll(rack);
  const own = rackNamespace(rack);
  const isPi = (name: string) => name.startsWith(`${own}-`) && matchSerial(name.slice(own.length + 1));
  const namespaces = (await listNamespaces(run)).filter((name) => name === own || isPi(name));
  for (const namespace of namespaces.sort().reverse()) await removeNamespace(run, namespace);
}

/** The rack meant when none is named. @throws Refusal when there is none, or more than one. */
export async function onlyRack(run: Run): Promise<string> {
  const isPi = (name: string) => matchSerial(name.split('-').at(-1) ?? '') !== undefined;
  const names = (await listNamespaces(run)).filter((name) => name.startsWith('nb-') && !isPi(name));
  const [rack, ...others] = names.map((name) => name.slice('nb-'.length));
  if (rack !== undefined && others.length === 0) return rack;
  if (rack === undefined) {
    throw new Refusal('There is no rack to plug the Pi into', 'Make one: netboot sim rack-up <rack>');
  }
  throw new Refusal(`There are several racks: ${[rack, ...others].join(', ')}`, 'Name one with --rack.');
}

/** A name that ends like a serial would make the rack look like a Pi of another rack. */
function checkName(rack: string): void {
  if (/^[a-z0-9][a-z0-9-]{0,31}$/.test(rack) && !matchSerial(rack.split('-').at(-1) ?? '')) return;
  throw new Refusal(
    `"${rack}" is no name for a rack`,
    'Use up to 32 lower-case letters, digits and hyphens, not ending in 8 hexadecimal digits.',
  );
}

async function listNamespaces(run: Run): Promise<string[]> {
  const listed = await run('ip', ['netns', 'list']);
  return listed.split('\n').flatMap((line) => line.split(' ')[0] || []);
}

async function makeNamespace(run: Run, namespace: string): Promise<void> {
  if ((await listNamespaces(run)).includes(namespace)) return;
  await run('ip', ['netns', 'add', namespace]);
  await run('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
  await writeSetting(run, namespace, 'net/ipv4/ip_forward', 0);
}

async function removeNamespace(run: Run, namespace: string): Promise<void> {
  if (!(await listNamespaces(run)).includes(namespace)) return;
  try {
    await endProcesses(run, namespace);
    await run('ip', ['netns', 'delete', namespace]);
  } catch (error) {
    if ((await listNamespaces(run)).includes(namespace)) throw error; // else its own Pi was quicker
  }
}

/** SIGTERM, and after 5 s SIGKILL, to the processes whose network namespace it is, and to no others. */
async function endProcesses(run: Run, namespace: string): Promise<void> {
  const giveUpAt = performance.now() + 5_000;
  let pids = await pidsOf(run, namespace);
  for (const pid of pids) kill(pid, 'SIGTERM');
  while (pids.length > 0 && performance.now() < giveUpAt) {
    await sleep(50);
    pids = await pidsOf(run, namespace);
  }
  for (const pid of pids) kill(pid, 'SIGKILL');
}

async function pidsOf(run: Run, namespace: string): Promise<number[]> {
  const listed = await run('ip', ['netns', 'pids', namespace]);
  return listed.split(/\s+/).filter(Boolean).map(Number);
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // ended by itself meanwhile
  }
}

async function writeSetting(run: Run, namespace: string, name: string, value: number): Promise<void> {
  await run('ip', ['netns', 'exec', namespace, 'tee', `/proc/sys/${name}`], { input: `${value}\n` });
}
