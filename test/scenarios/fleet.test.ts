import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { FleetOrder } from '../../src/sim/fleet-process.ts';
import type { FleetNode } from '../../src/sim/fleet-report.ts';
import { PERFECT } from '../../src/sim/impairment.ts';
import { STORM, type StormReport, stormOf } from '../rack/storm.ts';

/** A rack that powers on at once, in small: enough files to be read, and enough bytes for faults to hit them. */
const FILES = {
  'bootcode.bin': 52_000,
  'start.elf': 300_000,
  'start4.elf': 300_000,
  'kernel8.img': 2_000_000,
  initramfs8: 1_200_000,
};

const FLEET: FleetOrder = {
  ...STORM,
  seed: 63,
  pis: 40,
  impairment: { ...PERFECT, lossPercent: 1, duplicatePercent: 0.5, reorderPercent: 0.5 },
  deadlineMs: 120_000,
};

const GENERATIONS = [
  { generation: '3b', known: 'C-ROM3: the mask ROM of a 3B' },
  { generation: '3b+', known: 'C-ROM3+: the mask ROM of a 3B+' },
  { generation: '3-card', known: 'C-BC: bootcode.bin on a card' },
  { generation: '4-old', known: 'C-2711 with blocks of 1024' },
  { generation: '4', known: 'C-2711 with blocks of 1468' },
  { generation: '5', known: 'C-2712' },
] as const;

const describeFailures = (nodes: readonly FleetNode[]) =>
  nodes
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ serial, generation, reason }) => `${serial} (${generation}): ${reason}`)
    .join('\n');

function checkBoots(report: StormReport, generation: string): void {
  const nodes = report.nodes.filter((node) => node.generation === generation);
  assert.ok(nodes.length > 0);
  assert.equal(describeFailures(nodes), '');
  for (const node of nodes) {
    assert.equal(node.kernel, 'kernel8.img', node.serial);
    const large = FILES['kernel8.img'] + FILES.initramfs8;
    assert.ok(node.bytes > large, `${node.serial} read ${node.bytes} bytes`);
  }
}

describe('40 Pis of all generations boot at once through 1 % loss, duplicates and reordering', () => {
  let report: StormReport;

  before(
    async () => {
      report = await stormOf('ours', FLEET, FILES);
    },
    { timeout: 180_000 },
  );

  it('without one failing or beginning its boot anew', () => {
    assert.equal(describeFailures(report.nodes), '');
    assert.deepEqual([report.sum.booted, report.sum.failed, report.sum.restarts], [40, 0, 0]);
    assert.equal(report.wire.overrun, 0);
  });

  it('and the wire was as bad as it was to be', () => {
    const lost = report.nodes.reduce((sum, node) => sum + node.faults.lost, 0);
    const frames = report.wire.framesIn + report.wire.framesOut;
    assert.ok(lost > frames * 0.007 && lost < frames * 0.013, `${lost} lost of about ${frames}`);
    for (const { serial, faults } of report.nodes)
      assert.ok(faults.lost > 0 && faults.doubled > 0 && faults.heldBack > 0, serial);
  });

  it('each Pi with an address of its own', () => {
    assert.equal(new Set(report.nodes.map(({ address }) => address)).size, 40);
  });

  for (const { generation, known } of GENERATIONS)
    it(`${known}: kernel served (checklist 63)`, () => checkBoots(report, generation));

  it('the same seed makes the same Pis and the same faults', { timeout: 120_000 }, async () => {
    const again = await stormOf('ours', { ...FLEET, pis: 12 }, FILES);
    assert.equal(describeFailures(again.nodes), '');
    const before = new Map(report.nodes.map((node) => [node.serial, node.faults.fingerprint]));
    for (const { serial, faults } of again.nodes)
      assert.equal(faults.fingerprint, before.get(serial), serial);
  });
});

describe('the same Pis boot from dnsmasq, which knows nothing of us', () => {
  let report: StormReport;

  before(
    async () => {
      // Not through losses: it repeats a block after seconds, and no Pi waits that long for a file.
      const impairment = { ...FLEET.impairment, lossPercent: 0 };
      report = await stormOf('dnsmasq', { ...FLEET, pis: 12, impairment }, FILES);
    },
    { timeout: 180_000 },
  );

  for (const { generation, known } of GENERATIONS) it(`${known}`, () => checkBoots(report, generation));
});
