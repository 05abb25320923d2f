import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Linux counts CPU time for user space in hundredths of a second (USER_HZ), on every architecture. */
const TICKS_PER_SECOND = 100;
const MIB = 1024;

interface Stat {
  readonly pid: number;
  readonly parent: number;
  /** Seconds of all its threads, and of its children that have ended. */
  readonly own: number;
  readonly ended: number;
}

/** proc_pid_stat(5). The name may hold spaces and parentheses: the fields begin behind the last one. */
function readStat(pid: number | string): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [parent = 0, user = 0, system = 0, endedUser = 0, endedSystem = 0] = [1, 11, 12, 13, 14].map(
      (at) => fields[at],
    );
    return {
      pid: Number.parseInt(text, 10),
      parent,
      own: (user + system) / TICKS_PER_SECOND,
      ended: (endedUser + endedSystem) / TICKS_PER_SECOND,
    };
  } catch {
    return undefined; // it has ended meanwhile
  }
}

/** The process and all that descend from it. */
function tree(root: number): Stat[] {
  const all = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (readStat(name) ?? []) : []));
  const found = all.filter(({ pid }) => pid === root);
  for (const stat of found) found.push(...all.filter(({ parent }) => parent === stat.pid));
  return found;
}

/** CPU seconds of a process so far: its threads, its children, and their children. */
export function cpuSeconds(pid: number): number {
  return tree(pid).reduce((sum, { own, ended }) => sum + own + ended, 0);
}

/** CPU seconds of all programs that this process started and that have ended. */
export function endedCpuSeconds(): number {
  return readStat('self')?.ended ?? 0;
}

/** From now on {@link peakMemory} is the peak since now. */
export function forgetPeakMemory(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** Largest resident memory of one process, in MiB. */
export function peakMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / MIB;
}

/** Memory of a process and its descendants now, in MiB; pages that several share are counted once (Pss). */
export function sharedMemory(pid: number): number {
  const kib = tree(pid).map((stat) => {
    try {
      return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${stat.pid}/smaps_rollup`, 'latin1'))?.[1]);
    } catch {
      return 0;
    }
  });
  return kib.reduce((sum, value) => sum + value, 0) / MIB;
}
