import { readdir, readFile } from 'node:fs/promises';

// How a running process fares, by what the kernel tells of it.

/** `undefined` when the process is no more. */
export async function residentBytes(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

/** Datagrams that found the queue of a service port full: the last column of /proc/net/udp. */
export async function queueDrops(pid: number): Promise<number> {
  const table = await readFile(`/proc/${pid}/net/udp`, 'utf8').catch(() => '');
  const lines = table.split('\n').filter((line) => /^\s*\d+: [0-9A-F]{8}:(0043|0FAB|0045) /.test(line));
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/).at(-1)), 0);
}

export async function openDescriptors(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`).catch(() => [])).length;
}
