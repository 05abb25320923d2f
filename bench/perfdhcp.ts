import { execa } from 'execa';
import { percentile, round } from './figures.ts';
import { atLoad, type Cable } from './lab.ts';
import { endedCpuSeconds } from './usage.ts';

export interface DhcpLoadOptions {
  readonly cable: Cable;
  /** Four-way exchanges to begin per second. */
  readonly rate: number;
  /** MACs; they take turns, always from the first on. */
  readonly clients: number;
  readonly seconds: number;
}

export interface DhcpLoad {
  /** DISCOVERs sent, OFFERs and ACKs received. */
  readonly discovers: number;
  readonly offers: number;
  readonly acks: number;
  /** Completed exchanges per second, from the first DISCOVER to the last ACK. */
  readonly exchangesPerSecond: number;
  /** Share of the exchanges that were begun and did not complete, in percent. */
  readonly lossPercent: number;
  /** Milliseconds from DISCOVER to OFFER, and from REQUEST to ACK. */
  readonly offerMean: number;
  readonly offerP99: number;
  readonly ackP99: number;
  /** CPU seconds of perfdhcp. */
  readonly cpuSeconds: number;
  readonly commandLine: string;
}

/** How long answers are waited for at the end, in microseconds. */
const EXIT_WAIT = '300000';
const TIMESTAMPS = /^sent \/ received: (\d+\.\d+) \/ (\d+\.\d+)$/gm;

/**
 * Kea's own load generator: full exchanges (DISCOVER, OFFER, REQUEST, ACK), as a relay agent of the server's subnet would
 * send them. It tells when it sent and received each packet (`-x t`); the figures here follow from that, since its own
 * rate counts the waiting at the end as well and it has no percentiles.
 */
export async function runPerfdhcp({ cable, rate, clients, seconds }: DhcpLoadOptions): Promise<DhcpLoad> {
  const argv = [
    ...['perfdhcp', '-4', '-r', String(rate), '-R', String(clients), '-p', String(Math.ceil(seconds))],
    ...['-W', EXIT_WAIT, '-x', 't', '-l', cable.interface, cable.server],
  ];
  const [command = '', ...args] = atLoad(argv);
  const before = endedCpuSeconds();
  // It ends with 3 when exchanges were lost.
  const { stdout, stderr, exitCode } = await execa(command, args, { reject: false, maxBuffer: 2 ** 28 });
  if (exitCode !== 0 && exitCode !== 3) throw new Error(`perfdhcp failed (${exitCode}): ${stderr || stdout}`);
  const { sent, acks, discoverOffer, requestAck } = readOutput(stdout);
  const began = percentile(
    discoverOffer.map(([at]) => at),
    0,
  );
  const ended = percentile(
    requestAck.map(([, at]) => at),
    1,
  );
  const offerDelays = discoverOffer.map(([from, to]) => (to - from) * 1e3);
  return {
    discovers: sent,
    offers: discoverOffer.length,
    acks,
    exchangesPerSecond: acks === 0 ? 0 : round(acks / (ended - began)),
    lossPercent: round((1 - acks / sent) * 100, 2),
    offerMean: round(offerDelays.reduce((sum, delay) => sum + delay, 0) / offerDelays.length, 3),
    offerP99: round(percentile(offerDelays, 0.99), 3),
    ackP99: round(
      percentile(
        requestAck.map(([from, to]) => (to - from) * 1e3),
        0.99,
      ),
      3,
    ),
    cpuSeconds: round(endedCpuSeconds() - before, 2),
    commandLine: argv.join(' '),
  };
}

type Stamps = ReadonlyArray<readonly [sent: number, received: number]>;

function readOutput(text: string): {
  readonly sent: number;
  readonly acks: number;
  readonly discoverOffer: Stamps;
  readonly requestAck: Stamps;
} {
  const [figures = '', ofOffers = '', ofAcks = ''] = text.split(/^\*\*\*Timestamps for packets: .*$/m);
  const counts = (name: string, key: string) => {
    const part = figures.split(`***Statistics for: ${name}***`)[1] ?? '';
    return Number(new RegExp(`^${key}: (\\d+)$`, 'm').exec(part)?.[1]);
  };
  const stamps = (part: string): Stamps =>
    [...part.matchAll(TIMESTAMPS)].map(([, sent, received]) => [Number(sent), Number(received)]);
  return {
    sent: counts('DISCOVER-OFFER', 'sent packets'),
    acks: counts('REQUEST-ACK', 'received packets'),
    discoverOffer: stamps(ofOffers),
    requestAck: stamps(ofAcks),
  };
}
