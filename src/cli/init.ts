import { constants } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parseConfig } from '../config.ts';
import { type InterfaceAddress, resolveNetworks } from '../fleet/networks.ts';
import { findDhcpServers } from '../guards/network-watch.ts';
import { interfaceAddresses } from '../host/interfaces.ts';
import { run } from '../host/run.ts';
import { Refusal } from '../model/command.ts';
import { type Ipv4, ipv4FromNumber, ipv4ToNumber } from '../net/ipv4.ts';
import { broadcastAddress, formatSubnet, subnetOf } from '../net/subnet.ts';

interface DefaultRoute {
  readonly dev: string;
  readonly gateway?: Ipv4;
}

/** `netboot init`: looks at the interfaces and the default route, and writes a configuration that fits them. */
export async function writeInitialConfig(options: {
  interface?: string;
  dhcp?: string;
  output: string;
  force?: boolean;
}): Promise<void> {
  const present = await interfaceAddresses();
  const [route] = JSON.parse(
    (await run('ip', ['-4', '-j', 'route', 'show', 'default'])) || '[]',
  ) as DefaultRoute[];
  const chosen = choose(present, options.interface ?? route?.dev);
  const { dhcp, why } = options.dhcp ? { dhcp: options.dhcp, why: '' } : await chooseDhcp(chosen);
  const resolvers = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
  const text = renderConfig(chosen, {
    dhcp,
    router: route?.dev === chosen.interface ? route.gateway : undefined,
    dns: [...resolvers.matchAll(/^nameserver\s+(\d+\.\d+\.\d+\.\d+)/gm)]
      .flatMap((match) => match[1] ?? [])
      .filter((server) => !server.startsWith('127.')),
  });
  resolveNetworks(parseConfig(text, options.output).interfaces, present); // what we write must be right

  await mkdir(dirname(options.output), { recursive: true });
  const flags =
    constants.O_WRONLY | constants.O_CREAT | (options.force ? constants.O_TRUNC : constants.O_EXCL);
  const file = await open(options.output, flags, 0o644).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST')
      throw new Refusal(
        `"${options.output}" is there already`,
        'Replace it with --force, or write elsewhere with --output.',
      );
    throw new Refusal(
      `"${options.output}" cannot be written: ${error.message}`,
      'Run this as root, or write elsewhere with --output.',
    );
  });
  await file.writeFile(text);
  await file.sync();
  await file.close();
  console.log(
    `wrote ${options.output}: ${chosen.interface} (${formatSubnet(subnetOf(chosen.address, chosen.prefix))}), dhcp ${dhcp}${why}`,
  );
}

/** As the only DHCP server, or beside the one that is there. Where it is not allowed to ask, what does no harm. */
async function chooseDhcp({
  interface: name,
  address,
}: InterfaceAddress): Promise<{ dhcp: string; why: string }> {
  try {
    const { servers, fault } = await findDhcpServers(name, address);
    if (fault !== undefined && servers.length === 0) throw new Refusal('Nobody could be asked', fault);
    return servers.length > 0
      ? { dhcp: 'proxy', why: `: the DHCP server ${servers.join(', ')} is there` }
      : { dhcp: 'full', why: ': no DHCP server answered' };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { dhcp: 'proxy', why: ': whether there is a DHCP server could not be found out' };
  }
}

function choose(present: readonly InterfaceAddress[], name: string | undefined): InterfaceAddress {
  const chosen =
    present.find((candidate) => candidate.interface === name) ??
    (name === undefined ? present[0] : undefined);
  if (chosen) return chosen;
  const names = present.map((candidate) => candidate.interface).join(', ') || 'none';
  throw new Refusal(
    `The interface "${name ?? ''}" is missing or has no IPv4 address`,
    `Interfaces with an address: ${names}. Name one with --interface.`,
  );
}

/** The file's text; in `full` mode the pool is the upper half of the subnet, without our own address and the router's. */
export function renderConfig(
  { interface: name, address, prefix }: InterfaceAddress,
  { dhcp, router, dns }: { dhcp: string; router?: Ipv4 | undefined; dns: readonly string[] },
): string {
  const subnet = subnetOf(address, prefix);
  const last = ipv4ToNumber(broadcastAddress(subnet)) - 1;
  const first = ipv4ToNumber(subnet.network) + 2 ** (31 - prefix);
  const full = [
    `    pool: ${ipv4FromNumber(first)}-${ipv4FromNumber(last)}`,
    ...(router ? [`    router: ${router}`] : []),
    ...(dns.length > 0 ? [`    dns: [${dns.join(', ')}]`] : []),
    '    lease: 12h',
  ];
  return `${[
    '# netboot: written by "netboot init". Unknown keys are errors; see the README for all of them.',
    'interfaces:',
    `  ${name}:                  # ${address}/${prefix}`,
    `    dhcp: ${dhcp}            # proxy: beside another DHCP server; full: the only one; off: no DHCP, all else is served`,
    ...(dhcp === 'full' ? full : []),
    'nodes:',
    '  unknown: hold             # a Pi nobody added is listed as waiting, and told nothing about booting',
    'nfs:',
    "  server: auto              # the kernel's NFS server where there is one, else NFS-Ganesha",
    '  exports: /exports',
  ].join('\n')}\n`;
}
