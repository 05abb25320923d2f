import { mkdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { execa } from 'execa';

/** The namespace the load comes from. */
const LOAD = 'load';

/**
 * A namespace for servers, and the cable between it and the load's, with a subnet of its own. Every DHCP server has one:
 * they all want port 67, and are to be up at the same time.
 */
export interface Cable {
  readonly namespace: string;
  /** Name of the interface at both ends. */
  readonly interface: string;
  /** The first two bytes of its addresses: `10.99`. */
  readonly network: string;
  readonly server: string;
}

const cable = (number: number): Cable => {
  const network = `10.${99 - number}`;
  return { namespace: `server${number}`, interface: `net${number}`, network, server: `${network}.0.1` };
};

/** All TFTP servers are on the first. */
export const CABLES = { netboot: cable(0), Kea: cable(1), dnsmasq: cable(2) } as const;

export interface Lab {
  /** On a disk, because what is durable is to be durable. */
  readonly folder: string;
}

/**
 * Lays the cables. This process must have namespaces of its own, as `scripts/bench.sh` gives it: the kernel then takes
 * away whatever is made here when it ends, however it ends.
 */
export async function makeLab(folder: string): Promise<Lab> {
  if (process.pid !== 1) throw new Error('run scripts/bench.sh, which makes the namespaces this needs');
  await mkdir('/run/netns', { recursive: true });
  await execa('mount', ['-t', 'tmpfs', 'netns', '/run/netns']);
  await ip(`netns add ${LOAD}`);
  for (const { namespace, interface: name, network, server } of Object.values(CABLES)) {
    await ip(`netns add ${namespace}`);
    await ip(`-n ${namespace} link set lo up`);
    await ip(`-n ${namespace} link add ${name} type veth peer name ${name} netns ${LOAD}`);
    // A network card cuts what the kernel hands it in segments; a veth pair would pass it on whole.
    await ip(`-n ${namespace} link set ${name} gso_max_segs 1`);
    await ip(`-n ${namespace} address add ${server}/16 dev ${name}`);
    await ip(`-n ${namespace} link set ${name} up`);
    await ip(`-n ${LOAD} address add ${network}.255.1/16 dev ${name}`);
    await ip(`-n ${LOAD} link set ${name} up`);
  }
  return { folder };
}

/** The command line that runs a program in a namespace; `ip` replaces itself by the program. */
const inNamespace = (name: string, argv: readonly string[]) => ['ip', 'netns', 'exec', name, ...argv];

export const atLoad = (argv: readonly string[]): string[] => inNamespace(LOAD, argv);

export const atServer = ({ namespace }: Cable, argv: readonly string[]): string[] =>
  inNamespace(namespace, argv);

/** Server and load each have a processor to themselves, so that a run is limited by one of them. */
export const onServerProcessor = (argv: readonly string[]): string[] => onProcessor(0, argv);
export const onLoadProcessor = (argv: readonly string[]): string[] => onProcessor(cpus().length - 1, argv);

const onProcessor = (number: number, argv: readonly string[]) => [
  ...['taskset', '--cpu-list', String(number)],
  ...argv,
];

async function ip(args: string): Promise<void> {
  await execa('ip', args.split(' '));
}
