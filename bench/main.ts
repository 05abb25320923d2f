import { readFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { crossCheck } from './cross-check.ts';
import { measureDhcp } from './dhcp.ts';
import { makeLab } from './lab.ts';
import { type Section, writeSections } from './markdown.ts';
import { dhcpSections } from './report-dhcp.ts';
import { reportsSections } from './report-reports.ts';
import { stormSections } from './report-storm.ts';
import { crossCheckSection, tftpSections } from './report-tftp.ts';
import { measureReports } from './reports.ts';
import { measureStorm } from './storm.ts';
import { allCells, measureTftp } from './tftp.ts';

const RESULTS = join(import.meta.dirname, 'results.md');
const USAGE = `usage: scripts/bench.sh [--only tftp|dhcp|storm|reports] [--runs N] [--seconds N] [--quick] [--output FILE]
  --only       that part alone; may be given more than once
  --runs       of each cell, alternating between the servers (5)
  --seconds    of each run (1.2 for TFTP, 2 for DHCP, 120 for reports)
  --clients, --blksize, --windowsize
               TFTP with these alone, e.g. --clients 50,200 --blksize 1468
  --quick      a look whether everything works: few cells, one short run each, and nothing is written
  --output     where the tables go (bench/results.md)
  --compare-generator PROGRAM
               another TFTP load generator, to see whether both say the same:
               that alone: PROGRAM HOST PORT FILE CLIENTS TRANSFERS BLKSIZE WINDOWSIZE CHECK_FILE`;

const PARTS = ['tftp', 'dhcp', 'storm', 'reports'];

process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    only: { ...text, multiple: true },
    ...{ runs: text, seconds: text, output: text, folder: text, 'compare-generator': text },
    ...{ clients: text, blksize: text, windowsize: text },
    ...{ quick: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  },
});
if (values.help || values.folder === undefined || values.only?.some((part) => !PARTS.includes(part))) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

const { quick } = values;
const runs = Number(values.runs ?? (quick ? 1 : 5));
const secondsOr = (seconds: number) => Number(values.seconds ?? (quick ? 0.5 : seconds));
const parts = values.only ?? (values['compare-generator'] ? [] : PARTS);
const wants = (part: string) => parts.includes(part);
const say = (line: string) => console.log(`${new Date().toISOString().slice(11, 19)}  ${line}`);
const command = `scripts/bench.sh ${process.argv
  .slice(2)
  .filter((argument, at, all) => argument !== '--folder' && all[at - 1] !== '--folder')
  .join(' ')}`.trim();

const lab = await makeLab(values.folder);
const machine = await describeMachine();

if (wants('tftp')) {
  await measured('TFTP', async () => {
    const among = (chosen: string | undefined, all: string) => (value: number) =>
      (chosen ?? all).split(',').includes(String(value));
    const isClients = among(values.clients, quick ? '1,10' : '1,10,50,200');
    const isBlock = among(values.blksize, quick ? '1468' : '512,1024,1468');
    const isWindow = among(values.windowsize, quick ? '1,16' : '1,4,16');
    const cells = allCells.filter(
      ({ clients, blockSize, windowSize }) =>
        isClients(clients) && isBlock(blockSize) && isWindow(windowSize),
    );
    return tftpSections(await measureTftp(lab, { cells, runs, seconds: secondsOr(1.2) }, say));
  });
}
const generator = values['compare-generator'];
if (generator) {
  await measured('the load generators', async () => [
    crossCheckSection(basename(generator), await crossCheck(lab, generator, runs, say)),
  ]);
}
if (wants('dhcp')) {
  await measured('DHCP', async () => {
    const plan = {
      rates: quick ? [500, 2_000] : [500, 2_000, 5_000, 9_200, 10_000],
      ...{ fewLeases: quick ? 500 : 1_000, manyLeases: quick ? 2_000 : 20_000 },
      ...{ fillRate: quick ? 1_000 : 4_000, runs, seconds: secondsOr(2) },
    };
    return dhcpSections(await measureDhcp(lab, plan, say));
  });
}
if (wants('storm')) {
  await measured('the storm', async () => {
    const budgetSeconds = parts.length === 1 ? 2_400 : 780;
    const plan = { pis: quick ? 6 : 200, deadlineSeconds: 180, budgetSeconds, runs, peerOnBadWire: !quick };
    const small = quick ? { files: { initramfs8: 200_000 } } : {};
    return stormSections(await measureStorm({ ...plan, ...small }, say), plan);
  });
}

if (wants('reports')) {
  await measured('reports', async () => {
    const plan = quick
      ? { nodes: 20, spreadSeconds: 1, seconds: 5 }
      : { nodes: 1000, spreadSeconds: 60, seconds: Number(values.seconds ?? 120) };
    return reportsSections(await measureReports(lab, plan, say));
  });
}

/** One part, whose tables are written as soon as they are there: what fails after it takes nothing away. */
async function measured(name: string, measure: () => Promise<readonly Section[]>): Promise<void> {
  try {
    const sections = (await measure()).map(({ title, body }) => ({
      title,
      body: `${body}\n\n${machine}, ${today()}: \`${command}\``,
    }));
    for (const { title, body } of sections) console.log(`\n## ${title}\n\n${body}\n`);
    if (!quick || values.output) await writeSections(values.output ?? RESULTS, introduction(), sections);
  } catch (error) {
    console.error(`bench: ${name} could not be measured: ${(error as Error).stack}`);
    process.exitCode = 1;
  }
}

function introduction(): string {
  return `# Figures

Measured by \`scripts/bench.sh\` (whole: under half an hour on 2 processors). Medians of alternating runs: ours, then the peer's,
then ours again; ratios are taken pair by pair. Servers and load are in network namespaces of one machine, joined by veth pairs,
so that nothing here is about a network card, and the load takes its share of the processors. Under each table: the machine, the day, and
the command that made it.`;
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

async function describeMachine(): Promise<string> {
  const version = async (program: string, option: string, pattern: RegExp) => {
    const { all } = await execa(program, [option], { all: true, reject: false });
    return pattern.exec(all)?.[1] ?? '?';
  };
  const distribution = /^PRETTY_NAME="(.+)"$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1];
  const processors = cpus();
  return [
    `${processors.length} × ${processors[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `${distribution}, Linux ${release().split('-')[0]}`,
    `Node ${process.version.slice(1)}, dnsmasq ${await version('dnsmasq', '--version', /version (\S+)/)}`,
    `Kea ${await version('kea-dhcp4', '-v', /(\S+)/)}`,
    `tftpd-hpa ${await version('in.tftpd', '--version', /tftp-hpa ([\d.]+)/)}`,
  ].join(', ');
}
