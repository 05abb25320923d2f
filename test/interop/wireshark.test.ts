import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Appliance, eventually } from '../rack/appliance.ts';
import { Host, startRouter } from '../rack/host.ts';
import { sealGeneration } from '../rack/sealed.ts';
import { powerOn } from '../rack/simulate.ts';
import { type Dissected, dissect, isTsharkInstalled } from '../rack/wireshark.ts';

const OURS = '192.168.172.17';
const FULL = 'dhcp: full, pool: 192.168.172.100-192.168.172.150, lease: 1h';
const PIS = [
  { model: 'pi3 --rom 3b', serial: '00ab3b01' },
  { model: 'pi3', serial: '00ab3b02' },
  { model: 'pi4', serial: 'ab000004' },
  { model: 'pi5', serial: 'ab000005' },
] as const;

/** What a frame says it is: sender, DHCP message type, TFTP opcode, ARP operation. */
const FIELDS = ['ip.src', 'dhcp.option.dhcp', 'tftp.opcode', 'arp.opcode'];

for (const [mode, settings] of [
  ['full', FULL],
  ['proxy', 'dhcp: proxy'],
] as const) {
  const skip = isTsharkInstalled ? false : 'tshark is not installed';
  describe(`Wireshark watches boots, dhcp ${mode}`, { timeout: 180_000, skip }, () => {
    let appliance: Appliance;
    let frames: readonly Dissected[];
    const hosts: Host[] = [];

    before(async () => {
      appliance = await Appliance.make(`ws${mode}`, settings, { nfs: 'none', generations: 'generations' });
      const generation = await sealGeneration(`${appliance.folder}/generations`);
      if (mode === 'proxy') hosts.push(await startRouter(appliance));
      // From before it starts: it looks for other DHCP servers first.
      const file = `${appliance.folder}/boots.pcap`;
      const capture = await startCapture(appliance, file);
      await appliance.start();
      await appliance.publish(generation);
      for (const { serial } of PIS) await appliance.netboot('add-node', serial, '--image', 'web');
      await Promise.all(
        PIS.map(async ({ model, serial }) => {
          const boot = await powerOn(appliance, model, '--serial', serial);
          assert.ok(boot.isKernelServed, boot.transcript);
        }),
      );
      const client = await Host.plugIn(appliance, 'client', '192.168.172.80/24');
      hosts.push(client);
      await client.run(
        'sh',
        '-c',
        `echo x > ${appliance.folder}/x; cd ${appliance.folder}; tftp ${OURS} -c put x`,
      );
      if (mode === 'full') await client.udhcpc();
      await sleep(500); // dumpcap writes what it has twice a second or so
      await end(capture);
      frames = await dissect(file, ...FIELDS);
    });
    after(async () => {
      for (const host of hosts) await host.unplug();
      await appliance?.remove();
    });

    it('and has nothing to complain of, neither in what we send nor in what the virtual Pis send', () => {
      // It warns of every TFTP error, however well-formed: they say that a file is missing.
      const complaints = frames.flatMap(({ frame, complaints }) =>
        complaints.filter((text) => text !== 'TFTP ERROR packet').map((text) => `frame ${frame}: ${text}`),
      );
      assert.deepEqual(complaints, []);
    });

    it('and saw every kind of packet that a boot is made of', () => {
      const seen = new Set(
        frames.map(({ protocol, fields: [source, dhcp, tftp, arp] }) => {
          const who = source === OURS ? 'we' : 'they';
          if (arp) return `arp ${arp}`;
          return tftp ? `${who}: tftp ${tftp}` : dhcp ? `${who}: dhcp ${dhcp}` : `${who}: ${protocol}`;
        }),
      );
      const full = ['we: dhcp 5', 'they: dhcp 3'];
      const expected = [
        ...['they: dhcp 1', 'we: dhcp 2', ...(mode === 'full' ? full : [])],
        // RRQ, WRQ, ACK and the ERROR of a probe; OACK, DATA and the ERROR of a miss.
        ...[
          'they: tftp 1',
          'they: tftp 2',
          'they: tftp 4',
          'they: tftp 5',
          'we: tftp 6',
          'we: tftp 3',
          'we: tftp 5',
        ],
        ...['arp 1', 'arp 2'],
      ];
      assert.deepEqual(
        expected.filter((kind) => !seen.has(kind)),
        [],
        [...seen].join('; '),
      );
    });

    if (mode === 'proxy') {
      it('and every offer of ours came from the address that serves the files (checklist 14)', () => {
        const offers = frames.filter(
          ({ fields: [source, dhcp] }) => dhcp === '2' && source !== '192.168.172.1',
        );
        assert.ok(offers.length >= PIS.length);
        for (const { fields } of offers) assert.equal(fields[0], OURS);
      });
    }
  });
}

/** All that goes over the appliance's interface, from now on. */
async function startCapture(appliance: Appliance, file: string): Promise<ChildProcess> {
  const argv = ['netns', 'exec', `nb-${appliance.rack}`, 'dumpcap', '-q', '-i', 'br0', '-w', file];
  const capture = spawn('ip', argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  capture.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await eventually(10_000, async () => {
    if (!said.includes('File:')) throw new Error(`dumpcap does not capture: ${said}`);
  });
  return capture;
}

async function end(capture: ChildProcess): Promise<void> {
  const ended = once(capture, 'exit');
  capture.kill('SIGINT');
  await ended;
}
