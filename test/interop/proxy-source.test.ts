import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { PI5, ROM3 } from '../dhcp/fixtures/discovers.ts';
import { Appliance } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';

const OURS = '192.168.172.17';

interface Told {
  readonly type: string;
  readonly server: string;
  readonly tftp: string;
  readonly source: string;
  readonly siaddr: string;
  readonly yiaddr: string;
  readonly xid: number;
  readonly after: number;
}

/** The captured DISCOVERs of real firmware on a wire where the appliance has more addresses than one. */
describe('proxy offers on the wire', { timeout: 120_000 }, () => {
  let appliance: Appliance;
  let pi: Host;

  before(async () => {
    appliance = await Appliance.make('source', 'dhcp: proxy', { nfs: 'none' });
    for (const address of ['192.168.172.99/24', '10.9.9.1/24'])
      await appliance.inRack('ip', 'address', 'add', address, 'dev', 'br0');
    await appliance.start();
    for (const { serial } of [PI5, ROM3]) await appliance.netboot('add-node', serial, '--image', 'web');
    pi = await Host.plugIn(appliance, 'pi');
  });
  after(async () => {
    await pi?.unplug();
    await appliance?.remove();
  });

  /** What came back to one DISCOVER, line by line. */
  async function ask(bytes: Uint8Array, milliseconds: number): Promise<Told[]> {
    const lines: string[] = [];
    const args = [Buffer.from(bytes).toString('hex'), String(milliseconds)];
    const asking = pi.startScript('ask-dhcp.ts', args, (line) => lines.push(line));
    await new Promise((resolve) => asking.once('close', resolve));
    return lines.map((line) => JSON.parse(line) as Told);
  }

  it('come from the address that serves TFTP, which 54, 66 and siaddr name, too (checklist 14)', async () => {
    const [offer, ...more] = await ask(PI5.bytes, 1500);
    assert.ok(offer);
    assert.deepEqual(more, []);
    assert.deepEqual(
      [offer.type, offer.source, offer.server, offer.tftp, offer.siaddr, offer.yiaddr],
      ['offer', OURS, OURS, OURS, OURS, '0.0.0.0'],
    );
    assert.ok(offer.after < 1000, `after ${offer.after} ms`);
    const listening = await appliance.inRack('ss', '-Hlun', 'sport = :69');
    assert.match(listening, /br0/, 'TFTP listens on the same interface');
  });

  it('come one to two seconds late to a 3B’s boot ROM, UDP checksum 0, and anew at each of its tries (checklist 1, 19)', async () => {
    for (let attempt = 0; attempt < 2; attempt++) {
      const [offer, ...more] = await ask(ROM3.bytes, 3000);
      assert.ok(offer);
      assert.deepEqual(more, []);
      assert.equal(offer.source, OURS);
      assert.ok(offer.after >= 1000 && offer.after < 2500, `after ${offer.after} ms`);
    }
  });

  it('come to each of two Pi 3 with the one xid they share, at the same time (checklist 2)', async () => {
    await appliance.netboot('add-node', 'aa000001', '--image', 'web');
    const other = Uint8Array.from(ROM3.bytes);
    other.set([0xb8, 0x27, 0xeb, 0, 0, 1], 28);
    const twin = await Host.plugIn(appliance, 'twin');
    try {
      const lines: string[] = [];
      const args = [Buffer.from(other).toString('hex'), '3000'];
      const asking = twin.startScript('ask-dhcp.ts', args, (line) => lines.push(line));
      const ended = new Promise((resolve) => asking.once('close', resolve));
      const [mine] = await Promise.all([ask(ROM3.bytes, 3000), ended]);
      // Both replies are broadcasts: each of the two hears both.
      assert.equal(mine.length, 2);
      assert.equal(lines.length, 2);
    } finally {
      await twin.unplug();
    }
  });
});
