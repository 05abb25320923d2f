/** Part of the address space, in bytes. */
export interface Mapping {
  readonly address: bigint;
  readonly length: number;
}

/**
 * The parts of `program` that nobody has written to, of the text of /proc/self/smaps (proc(5)): the file has all that is
 * in them. Its relocated data is not among them: that is read-only by now, but was written by the loader.
 */
export function cleanMappings(smaps: string, program: string): Mapping[] {
  return smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((entry) => {
    const [, first, last, path] = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+ +(.+)$/m.exec(entry) ?? [];
    if (!first || !last || path !== program) return [];
    const isClean = ['Private_Dirty', 'Anonymous', 'Swap'].every((name) =>
      new RegExp(`^${name}: +0 kB$`, 'm').test(entry),
    );
    const [address, end] = [BigInt(`0x${first}`), BigInt(`0x${last}`)];
    return isClean ? [{ address, length: Number(end - address) }] : [];
  });
}
