import { readFile } from 'node:fs/promises';

/** When a process started, in clock ticks since boot (proc_pid_stat(5), field 22); undefined when there is none. */
export async function startTime(pid: number | string): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name in brackets and may hold anything.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
