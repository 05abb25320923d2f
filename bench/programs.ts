import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CABLES } from './lab.ts';
import type { ServerProgram } from './server.ts';

const REPOSITORY = resolve(import.meta.dirname, '..');
export const NETBOOT = join(REPOSITORY, 'scripts/netboot');

/** Where each TFTP server listens: they run side by side on one address, and the load goes to one at a time. */
export const TFTP_PORTS = { netboot: 1069, 'netboot, sealed': 1069, dnsmasq: 69, 'tftpd-hpa': 2069 } as const;

const TFTP_ADDRESS = CABLES.netboot.server;

/** The service as a user has it, with one worker; its files are those of a plain folder and of its nodes' images. */
export async function netbootTftp(
  folder: string,
  root: string,
): Promise<ServerProgram & { configFile: string }> {
  const port = TFTP_PORTS.netboot;
  const configFile = await configureNetboot(folder, 'dhcp: off', [
    `tftp: { root: ${root}, port: ${port}, workers: 1 }`,
  ]);
  const listens = `0.0.0.0%${CABLES.netboot.interface}:${port}`;
  return { ...netboot(folder, configFile), configFile, listens };
}

/** The service as a user has it, with its nodes' boot files on HTTP. */
export async function netbootReports(folder: string): Promise<ServerProgram> {
  const port = TFTP_PORTS.netboot;
  const configFile = await configureNetboot(folder, 'dhcp: off', [`tftp: { port: ${port} }`]);
  return {
    ...netboot(folder, configFile),
    listens: `0.0.0.0%${CABLES.netboot.interface}:${port}`,
    says: '"READY"',
  };
}

export function dnsmasqTftp(folder: string, root: string): ServerProgram {
  const own = [`--interface=${CABLES.netboot.interface}`, '--bind-interfaces', '--except-interface=lo'];
  const tftp = ['--enable-tftp', `--tftp-root=${root}`, '--tftp-max=1000'];
  return {
    name: 'dnsmasq',
    cable: CABLES.netboot,
    argv: [...DNSMASQ, ...own, ...tftp],
    logFile: join(folder, 'dnsmasq-tftp.log'),
    listens: `${TFTP_ADDRESS}:${TFTP_PORTS.dnsmasq}`,
  };
}

export function tftpdHpa(folder: string, root: string): ServerProgram {
  const listens = `${TFTP_ADDRESS}:${TFTP_PORTS['tftpd-hpa']}`;
  return {
    name: 'tftpd-hpa',
    cable: CABLES.netboot,
    argv: ['in.tftpd', '--foreground', '--user', 'root', '--address', listens, '--secure', root],
    logFile: join(folder, 'tftpd-hpa.log'),
    listens,
  };
}

/** The service as a user has it: every lease is on the disk before its reply leaves. */
export async function netbootDhcp(folder: string): Promise<ServerProgram> {
  const { interface: name, network } = CABLES.netboot;
  const configFile = await configureNetboot(folder, `dhcp: full, pool: ${poolOf(network)}, lease: 12h`, []);
  // It first asks for four seconds whether there is another DHCP server.
  return { ...netboot(folder, configFile), listens: `0.0.0.0%${name}:67`, says: '"DHCP_OPEN"' };
}

/**
 * Leases in a CSV file that is appended to and never flushed. Its program is copied: AppArmor's profile, which goes by the
 * path, would keep it to the folders of an installed service.
 */
export async function keaDhcp(folder: string): Promise<ServerProgram> {
  const { interface: name, network, server } = CABLES.Kea;
  const program = join(folder, 'kea-dhcp4');
  await copyFile('/usr/sbin/kea-dhcp4', program);
  const Dhcp4 = {
    'interfaces-config': { interfaces: [name], 'dhcp-socket-type': 'raw' },
    'lease-database': {
      type: 'memfile',
      persist: true,
      name: join(folder, 'kea-leases.csv'),
      'lfc-interval': 0,
    },
    'valid-lifetime': 43_200,
    subnet4: [{ subnet: `${network}.0.0/16`, pools: [{ pool: poolOf(network) }] }],
    loggers: [{ name: 'kea-dhcp4', severity: 'ERROR', output_options: [{ output: 'stderr' }] }],
  };
  const configFile = join(folder, 'kea.json');
  await writeFile(configFile, JSON.stringify({ Dhcp4 }));
  return {
    name: 'Kea',
    cable: CABLES.Kea,
    argv: [program, '-c', configFile],
    env: { KEA_LOCKFILE_DIR: 'none', KEA_PIDFILE_DIR: folder },
    logFile: join(folder, 'kea.log'),
    listens: `${server}:67`,
  };
}

/** Without its ping before each offer, which no client here would answer and which costs a wait. */
export async function dnsmasqDhcp(folder: string): Promise<ServerProgram & { leaseFile: string }> {
  const { interface: name, network } = CABLES.dnsmasq;
  const leaseFile = join(folder, 'dnsmasq.leases');
  const own = [`--interface=${name}`, '--bind-interfaces', '--except-interface=lo'];
  const range = `--dhcp-range=${poolOf(network).replace('-', ',')},12h`;
  const leases = ['--dhcp-lease-max=65000', `--dhcp-leasefile=${leaseFile}`, '--dhcp-authoritative'];
  return {
    name: 'dnsmasq',
    cable: CABLES.dnsmasq,
    argv: [...DNSMASQ, ...own, range, ...leases, '--no-ping', '--quiet-dhcp'],
    logFile: join(folder, 'dnsmasq-dhcp.log'),
    listens: `0.0.0.0%${name}:67`,
    leaseFile,
  };
}

const DNSMASQ = [
  'dnsmasq',
  ...['--keep-in-foreground', '--conf-file=/dev/null', '--port=0', '--user=root', '--pid-file'],
];

/** More than 50,000 addresses. */
const poolOf = (network: string): string => `${network}.1.0-${network}.200.255`;

function netboot(folder: string, configFile: string): Omit<ServerProgram, 'listens'> {
  return {
    name: 'netboot',
    cable: CABLES.netboot,
    argv: [NETBOOT, '--config', configFile, 'serve'],
    logFile: join(folder, 'netboot.log'),
  };
}

async function configureNetboot(
  folder: string,
  onInterface: string,
  sections: readonly string[],
): Promise<string> {
  const state = join(folder, 'state');
  await mkdir(join(folder, 'generations'), { recursive: true });
  const lines = [
    `interfaces: { ${CABLES.netboot.interface}: { ${onInterface} } }`,
    'nfs: { server: none }',
    `paths: { state: ${state}, images: ${REPOSITORY}/images, generations: ${folder}/generations }`,
    `api: { socket: ${folder}/api.sock }`,
    ...sections,
  ];
  const configFile = join(folder, 'netboot.yaml');
  await writeFile(configFile, `${lines.join('\n')}\n`);
  return configFile;
}
