import type { CampaignResult } from './campaign.ts';

/**
 * What the medians of two thirds of a run may differ by, in MiB: the heap's own breathing, and in a short run that its
 * pools and caches are still filling.
 */
const FLAT_MIB = { short: 64, long: 24 };
const LONG_SECONDS = 120;
/** Beyond this nothing is flat, however evenly it grew. */
const MOST_MIB = 512;
/** Sockets and files that transfers hold are limited by the service; a leak is not. */
const MOST_DESCRIPTORS = 3_000;

/**
 * Lines per second at level info, above which an attacker fills the disk: what the rooms allow themselves for a rack
 * that boots (550) and what is written once in a while.
 */
const MOST_LOG_LINES = 700;

/** What a service that cannot be broken does not do, in words; none when all is well. */
export function faultsOf(result: CampaignResult): string[] {
  const { hasSurvived, alarms, boots, memory, descriptors, seconds } = result;
  const linesPerSecond = Math.round(result.logLines / seconds);
  const failures = boots.flatMap((boot) => ('failed' in boot ? [boot.failed] : []));
  const flat = seconds < LONG_SECONDS ? FLAT_MIB.short : FLAT_MIB.long;
  const most = Math.max(...memory) / 2 ** 20;
  return [
    ...(hasSurvived ? [] : ['the service ended']),
    ...alarms.slice(0, 10).map((line) => `in the log: ${line}`),
    ...failures.map((reason) => `the honest Pi did not boot: ${reason}`),
    ...(boots.length > failures.length ? [] : ['the honest Pi booted never']),
    ...(growth(memory) <= flat ? [] : [`memory grew by ${growth(memory).toFixed(1)} MiB`]),
    ...(most <= MOST_MIB ? [] : [`memory was ${Math.round(most)} MiB`]),
    ...(linesPerSecond <= MOST_LOG_LINES ? [] : [`it wrote ${linesPerSecond} lines a second`]),
    ...(Math.max(...descriptors) <= MOST_DESCRIPTORS ? [] : [`${Math.max(...descriptors)} files were open`]),
  ];
}

/** How much more memory, in MiB, the last third of a run had than the one before: medians, so that no peak counts. */
export function growth(memory: readonly number[]): number {
  const third = Math.floor(memory.length / 3);
  return (median(memory.slice(2 * third)) - median(memory.slice(third, 2 * third))) / 2 ** 20;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;
}
