import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Ipv4 } from '../src/net/ipv4.ts';
import { parseIpv4 } from '../src/net/ipv4.ts';
import { median, percentile, round } from './figures.ts';
import { type ReadersReport, TftpReaders } from './tftp-readers.ts';

/** What the program writes to stdout, as JSON. */
export interface TftpLoad extends Omit<ReadersReport, 'packets' | 'times'> {
  readonly transfers: number;
  readonly megabytesPerSecond: number;
  readonly dataPacketsPerSecond: number;
  /** Of one transfer, in milliseconds. */
  readonly median: number;
  readonly p99: number;
  readonly slowest: number;
  /** CPU seconds of this process while the transfers ran: near `seconds`, it is what was saturated. */
  readonly cpuSeconds: number;
}

const USAGE = `usage: tftp-load.ts --interface NAME --server ADDRESS --file PATH --expect FILE
  --port 69  --clients 1  --blksize 1468  --windowsize 1  --seconds 2  --transfers N
  --first-address 10.99.100.0   the clients' addresses, on the server's subnet and unused
Reads a file from a TFTP server, many clients at a time, and compares every byte with FILE. Needs root (CAP_NET_RAW).`;

if (import.meta.main) process.exitCode = main();

function main(): number {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      ...{ interface: text, server: text, file: text, expect: text, transfers: text },
      port: { ...text, default: '69' },
      clients: { ...text, default: '1' },
      blksize: { ...text, default: '1468' },
      windowsize: { ...text, default: '1' },
      seconds: { ...text, default: '2' },
      'first-address': { ...text, default: '10.99.100.0' },
    },
  });
  const server = parseIpv4(values.server ?? '');
  if (!values.interface || !server || !values.file || !values.expect) {
    console.error(USAGE);
    return 2;
  }
  const readers = new TftpReaders({
    interface: values.interface,
    server,
    port: Number(values.port),
    firstAddress: values['first-address'] as Ipv4,
    file: values.file,
    clients: Number(values.clients),
    blockSize: Number(values.blksize),
    windowSize: Number(values.windowsize),
    expected: readFileSync(values.expect),
    seconds: Number(values.seconds),
    transfers: Number(values.transfers ?? Number.POSITIVE_INFINITY),
  });
  const before = process.cpuUsage();
  const { times, packets, ...report } = readers.run();
  const { user, system } = process.cpuUsage(before);
  const load: TftpLoad = {
    ...report,
    transfers: times.length,
    seconds: round(report.seconds, 3),
    megabytesPerSecond: round(report.bytes / report.seconds / 1e6, 2),
    dataPacketsPerSecond: round(packets / report.seconds),
    median: round(median(times), 2),
    p99: round(percentile(times, 0.99), 2),
    slowest: round(percentile(times, 1), 2),
    cpuSeconds: round((user + system) / 1e6, 3),
  };
  console.log(JSON.stringify(load));
  return load.failures > 0 ? 1 : 0;
}
