import assert from 'node:assert/strict';
import { it } from 'node:test';
import { mebibytes, runCampaign } from '../fuzz/campaign.ts';
import { faultsOf } from '../fuzz/judge.ts';

const SECONDS = 20;

it('mutated packets to every port neither break the running service nor keep an honest Pi from booting', {
  timeout: 180_000,
}, async (t) => {
  const seed = Number(process.env.NETBOOT_TEST_SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`NETBOOT_TEST_SEED=${seed}`);
  const result = await runCampaign({
    ...{ seconds: SECONDS, packets: Number.MAX_SAFE_INTEGER, seed, workers: 2 },
    onProgress: (line) => t.diagnostic(line),
  });
  const { sent, total, transfersEntered, boots, counters } = result;
  t.diagnostic(
    `${JSON.stringify(sent)}, ${mebibytes(result.memory.at(-1) ?? 0)} MiB, ${JSON.stringify(counters)}`,
  );

  assert.deepEqual(faultsOf(result), []);
  assert.ok(total > 10_000, `only ${total} packets`);
  for (const [target, count] of Object.entries(sent)) assert.ok(count > 0, `nothing was sent to ${target}`);
  assert.ok(transfersEntered > 100, `only ${transfersEntered} transfers`);
  assert.ok(boots.length >= 2);
  // The service did look at what came, and not at garbage alone.
  const { dhcp, tftp } = counters as Record<string, Record<string, number>>;
  for (const name of ['malformed', 'ignored', 'offer', 'ack', 'nak']) assert.ok(dhcp?.[name], `dhcp ${name}`);
  for (const name of ['malformed', 'missed', 'refused', 'strangers', 'completed'])
    assert.ok(tftp?.[name], `tftp ${name}`);
});
