import { addAndFetch, idleMemory, makeMeasured, median } from './measuring.ts';

/** A program, run by scripts/measure.sh: the figures of the README that depend on the machine. */
const measured = await makeMeasured('measure');
try {
  for (const how of ['api', 'cli'] as const) {
    const results = await addAndFetch(measured, how, 20);
    const [fromStart, fromAnswer] = (['afterStart', 'afterAnswer'] as const).map((key) =>
      median(results.map((result) => result[key])).toFixed(1),
    );
    const since = how === 'api' ? ['request', 'its answer'] : ['start of the command', 'its end'];
    console.log(
      `add-node by ${how}: files served ${fromStart} ms after the ${since[0]}, ${fromAnswer} ms after ${since[1]} (median of 20)`,
    );
  }
  // A new start, as after a reboot: what it needs to hold the nodes, not what adding them left in the heap.
  const before = await idleMemory(measured.appliance, 1_000);
  await measured.appliance.stop();
  await measured.appliance.start();
  const after = await idleMemory(measured.appliance, 0);
  for (const [when, { rss, anon }] of [
    ['after adding', before],
    ['after a restart', after],
  ] as const)
    console.log(
      `idle with 1,000 nodes, ${when}: ${rss} MiB resident, of which ${anon} MiB its own (RssAnon)`,
    );
} finally {
  await measured.host.unplug();
  await measured.appliance.remove();
}
