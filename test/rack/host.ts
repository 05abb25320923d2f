import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { type Appliance, eventually } from './appliance.ts';

/** A machine of its own in the rack, plugged into the appliance's bridge: for what is neither appliance nor Pi. */
export class Host {
  readonly namespace: string;
  readonly #children: ChildProcess[] = [];

  private constructor(namespace: string) {
    this.namespace = namespace;
  }

  static async plugIn(appliance: Appliance, name: string, address?: string): Promise<Host> {
    const rack = `nb-${appliance.rack}`;
    const host = new Host(`${rack}-${name}`);
    await execa('ip', ['netns', 'add', host.namespace]);
    await execa('ip', [
      '-n',
      rack,
      'link',
      'add',
      name,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      host.namespace,
    ]);
    await execa('ip', ['-n', rack, 'link', 'set', name, 'master', 'br0', 'up']);
    if (address) await execa('ip', ['-n', host.namespace, 'address', 'add', address, 'dev', 'eth0']);
    await execa('ip', ['-n', host.namespace, 'link', 'set', 'eth0', 'up']);
    return host;
  }

  /** Asks for an address once with busybox's client, and leaves the interface as it is; gives what it said. */
  udhcpc(): Promise<string> {
    return this.run('udhcpc', ...'-i eth0 -n -q -f -s /bin/true -t 5 -T 2'.split(' '));
  }

  async run(program: string, ...args: string[]): Promise<string> {
    const { all } = await execa('ip', ['netns', 'exec', this.namespace, program, ...args], { all: true });
    return all;
  }

  start(program: string, ...args: string[]): void {
    const argv = ['netns', 'exec', this.namespace, program, ...args];
    this.#children.push(spawn('ip', argv, { stdio: ['ignore', 'ignore', 'inherit'] }));
  }

  /**
   * Starts a TypeScript program of this folder, whose stdout is told line by line.
   * @param prelude shell commands before it, in the mount namespace that is its alone.
   */
  startScript(
    script: string,
    args: readonly string[],
    onLine: (line: string) => void,
    prelude = '',
  ): ChildProcess {
    const program = [process.execPath, join(import.meta.dirname, script), ...args];
    const shell = ['sh', '-euc', `${prelude}\nexec "$@"`, 'sh'];
    const argv = ['netns', 'exec', this.namespace, ...shell, ...program];
    const child = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: child.stdout }).on('line', onLine);
    this.#children.push(child);
    return child;
  }

  async unplug(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    }
    await execa('ip', ['netns', 'delete', this.namespace]);
  }
}

/** dnsmasq as the router's DHCP server: it hands out addresses and knows nothing of booting. */
export async function startRouter(appliance: Appliance): Promise<Host> {
  const router = await Host.plugIn(appliance, 'router', '192.168.172.1/24');
  const leases = `${appliance.folder}/dnsmasq.leases`;
  const range = '--dhcp-range=192.168.172.50,192.168.172.80,1h';
  router.start(
    'dnsmasq',
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--port=0',
    '--interface=eth0',
    range,
    `--dhcp-leasefile=${leases}`,
    '--user=root',
    '--pid-file',
  );
  await eventually(10_000, async () => {
    if (!(await router.run('ss', '-Hlun', 'sport = :67')).includes(':67'))
      throw new Error('dnsmasq does not listen');
  });
  return router;
}
