import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { type CampaignResult, mebibytes, runCampaign } from './campaign.ts';
import { faultsOf, growth } from './judge.ts';
import { fuzz, keep, TARGETS } from './parsers.ts';

/**
 * `npm run fuzz -- --minutes N [--packets N] [--seed S] [--workers W] [--report FILE]`: half a minute at most for the
 * parsers, the rest of the time, or until so many packets are sent, for the running service. Needs root: it makes network namespaces.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    packets: { type: 'string', default: '10000000' },
    workers: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    'parsers-only': { type: 'boolean', default: false },
    /** A Markdown file to be written with what came out. */
    report: { type: 'string' },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const told: string[] = [];
const say = (line: string): void => {
  told.push(line);
  console.log(line);
};
const count = (number: number): string => number.toLocaleString('en');

say(`seed ${seed}`);
const parserMs = values['parsers-only'] ? minutes * 60_000 : Math.min(minutes * 6_000, 30_000);
let inputs = 0;
let broken = 0;
for (const target of TARGETS) {
  const result = fuzz(target, seed, performance.now() + parserMs / TARGETS.length);
  inputs += result.count;
  say(`${target.name}: ${count(result.count)} inputs`);
  if (!result.finding) continue;
  broken++;
  say(`BROKEN ${target.name}: ${(result.finding.error as Error).stack}\nkept as ${keep(result.finding)}`);
}

let faults: readonly string[] = [];
if (!values['parsers-only']) {
  const seconds = minutes * 60 - parserMs / 1000;
  const [packets, workers] = [Number(values.packets), Number(values.workers)];
  const result = await runCampaign({ seconds, packets, seed, workers, onProgress: say });
  faults = faultsOf(result);
  for (const fault of faults) say(`FAULT ${fault}`);
  say(resultLine(result));
}
say(`parsers: ${count(inputs)} inputs in ${Math.round(parserMs / 1000)} s, ${broken} broken`);
process.exitCode = broken > 0 || faults.length > 0 ? 1 : 0;
if (values.report !== undefined) writeFileSync(values.report, reportOf(told));

function reportOf(lines: readonly string[]): string {
  const command = `npm run fuzz -- --minutes ${minutes} --packets ${values.packets} --workers ${values.workers} --seed ${seed}`;
  const [{ model = 'unknown processors' } = {}] = cpus();
  return [
    '# What mutated packets did to the running service',
    `Made by \`${command}\` on ${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${model}. A packet counts when it was sent; "found a queue full" did not reach the service.`,
    ['```', ...lines, '```', ''].join('\n'),
  ].join('\n\n');
}

function resultLine(result: CampaignResult): string {
  const { sent, total, seconds, boots, memory } = result;
  const failed = boots.filter((boot) => 'failed' in boot).length;
  const times = boots
    .flatMap((boot) => ('ms' in boot ? [boot.ms] : []))
    .toSorted((one, other) => one - other);
  const rejections = result.alarms.filter((line) => line.includes('Unhandled')).length;
  const perTarget = Object.entries(sent).map(([name, each]) => `${name} ${count(each)}`);
  return [
    `running service: ${count(total)} packets in ${Math.round(seconds)} s (${count(Math.round(total / seconds))}/s)`,
    `  ${perTarget.join(', ')}; ${count(result.queueDrops)} found a queue full`,
    `  ${count(result.answersHeard)} answers, ${count(result.transfersEntered)} transfers entered`,
    `  crashes ${result.hasSurvived ? 0 : 1}, unhandled rejections ${rejections}, errors in the log ${result.alarms.length} of ${count(result.logLines)} lines`,
    `  memory ${mebibytes(memory[0] ?? 0)} MiB at the start, ${mebibytes(memory.at(-1) ?? 0)} MiB at the end, ` +
      `${mebibytes(Math.max(...memory))} MiB at most; ${growth(memory).toFixed(1)} MiB more from the middle third to the last`,
    `  honest Pi: ${boots.length - failed} boots, ${failed} failed, median ${times[times.length >> 1] ?? '-'} ms, slowest ${times.at(-1) ?? '-'} ms`,
    `  counters ${JSON.stringify(result.counters)}`,
  ].join('\n');
}
