import { execa } from 'execa';
import { median, round } from './figures.ts';
import { atLoad, CABLES, type Lab, onLoadProcessor } from './lab.ts';
import { TFTP_PORTS } from './programs.ts';
import type { CrossCheck } from './report-tftp.ts';
import { TftpBench } from './tftp.ts';

/** Our load generator and another one, in turns, against the same running servers. */
export async function crossCheck(
  lab: Lab,
  program: string,
  runs: number,
  say: (line: string) => void,
): Promise<readonly CrossCheck[]> {
  await using bench = await TftpBench.start(lab);
  const checks: CrossCheck[] = [];
  for (const server of ['netboot', 'dnsmasq'] as const) {
    for (const clients of [1, 50, 200]) {
      const check = { server, clients, ours: [] as number[], other: [] as number[] };
      const cell = { clients, blockSize: 1468, windowSize: 1 };
      await bench.run(server, cell, 0.5);
      for (let run = 0; run < runs; run++) {
        const ours = await bench.run(server, cell, 1.5);
        check.ours.push(ours.megabytesPerSecond);
        const address = [CABLES.netboot.server, String(TFTP_PORTS[server]), bench.fileName];
        const load = [String(clients), String(ours.transfers), '1468', '1', bench.file];
        const [command = '', ...args] = onLoadProcessor(atLoad([program, ...address, ...load]));
        const { stdout } = await execa(command, args);
        check.other.push(Number(/MB\/s ([\d.]+)/.exec(stdout)?.[1]));
      }
      say(
        `${server}, ${clients} clients: ${round(median(check.ours), 1)} and ${round(median(check.other), 1)} MB/s`,
      );
      checks.push(check);
    }
  }
  return checks;
}
