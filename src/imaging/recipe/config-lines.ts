/**
 * The lines of config.txt of a chain of images, the parent's first. A line that an image repeats after its parent is there
 * once, since some (`dtoverlay=`) would count twice. A filter (`[pi4]`) holds until `[all]`, beside others (`[HDMI:0]`), so
 * that equal lines below different filters are different lines, and what an image left open is closed before the next
 * one's lines begin.
 */
export function mergeConfigLines(images: readonly (readonly string[])[]): string[] {
  const merged: string[] = [];
  const seen = new Set<string>();
  let open: readonly string[] = [];
  for (const lines of images) {
    let wanted: readonly string[] = [];
    for (const line of lines) {
      const filter = /^\s*(\[.*\])\s*$/.exec(line)?.[1];
      if (filter !== undefined) {
        wanted = filter.toLowerCase() === '[all]' ? [] : [...wanted, filter];
        continue;
      }
      const place = JSON.stringify([wanted, line]);
      if (seen.has(place)) continue;
      seen.add(place);
      const isWithin = open.every((name, index) => name === wanted[index]);
      merged.push(...(isWithin ? wanted.slice(open.length) : ['[all]', ...wanted]), line);
      open = wanted;
    }
  }
  return merged;
}
