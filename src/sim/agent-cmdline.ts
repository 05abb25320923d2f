import { type Ipv4, parseIpv4 } from '../net/ipv4.ts';

/** What a node learns from its kernel's command line. */
export interface AgentWords {
  /** The NFS server, which is the appliance. */
  readonly server: Ipv4;
  /** The last name of the root's path. */
  readonly generation: string;
  readonly hostname: string;
  /** `readonly`, `overlay` or `private`. */
  readonly root: string;
  /** Absent where the appliance expects no reports. */
  readonly token?: string;
  /** Of its TCP port for nodes. */
  readonly port: number;
  /** The unit that its system starts. */
  readonly target?: string;
}

const PORT = 8064;

/** @returns `undefined` without a root on an NFS server: such a system does not come up. */
export function readAgentWords(cmdline: string): AgentWords | undefined {
  const words = new Map(
    cmdline
      .trim()
      .split(/\s+/)
      .map((word) => {
        const [name = '', ...rest] = word.split('=');
        return [name, rest.join('=')];
      }),
  );
  const [address = '', path = ''] = (words.get('nfsroot') ?? '').split(',')[0]?.split(':') ?? [];
  const server = parseIpv4(address);
  const generation = path.split('/').findLast((name) => name !== '');
  if (!server || generation === undefined) return undefined;
  const token = words.get('netboot.token');
  const target = words.get('systemd.unit');
  return {
    server,
    generation,
    hostname: words.get('systemd.hostname') ?? 'localhost',
    root: words.get('netboot.root') ?? 'readonly',
    ...(token ? { token } : {}),
    port: Number(words.get('netboot.port') ?? PORT),
    ...(target ? { target } : {}),
  };
}
