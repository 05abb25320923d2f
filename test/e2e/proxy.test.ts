import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { Appliance, eventually } from '../rack/appliance.ts';
import { Host, startRouter } from '../rack/host.ts';
import { makeKey, VirtualPi } from '../rack/virtual-pi.ts';

const OURS = '192.168.172.17';

/** The same boot beside a real other DHCP server, with everything on the wire written down. */
describe('a diskless Pi boots beside another DHCP server', { timeout: 60 * 60_000 }, () => {
  let appliance: Appliance;
  let router: Host;
  let capture: ChildProcess;
  let pi: VirtualPi;

  before(async () => {
    appliance = await Appliance.make('proxy', 'dhcp: proxy');
    router = await startRouter(appliance);
    const file = join(appliance.folder, 'wire.pcap');
    const tshark = [
      'tshark',
      '-q',
      '-i',
      'br0',
      '-f',
      'udp port 67 or udp port 68 or udp port 4011',
      '-w',
      file,
    ];
    capture = spawn('ip', ['netns', 'exec', `nb-${appliance.rack}`, ...tshark], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await once(capture.stderr ?? capture, 'data'); // "Capturing on 'br0'"
    await appliance.start();
    await appliance.netboot('build-image', 'web');
    await appliance.writePage('<h1>beside another</h1>\n');
    await appliance.netboot('add-node', 'ab000011', '--name', 'beside', '--role', 'web');
    pi = new VirtualPi(appliance, 'pi4', 'ab000011', await makeKey(appliance));
    await eventually(60_000, async () => {
      pi.address =
        / OFFER +from 192\.168\.172\.1: (192\.168\.172\.\d+)/.exec(await pi.console())?.[1] ??
        assert.fail('no offer yet');
    });
    await pi.up();
  });

  after(async () => {
    await pi?.off();
    capture?.kill('SIGTERM');
    await router?.unplug();
    await appliance?.remove();
  });

  it('takes its address from that server and everything else from us', async () => {
    assert.match(pi.address, /^192\.168\.172\.([5-7]\d|80)$/);
    assert.match(await pi.run('findmnt -n -o SOURCE /'), new RegExp(`^${OURS}:`));
    assert.equal(await eventually(120_000, () => appliance.page(pi.address)), '<h1>beside another</h1>');
    assert.equal(await pi.run('hostname'), 'beside');
  });

  it('leaves plain clients to the other server, and a Pi that was not added as well', async () => {
    const plain = await Host.plugIn(appliance, 'plain');
    try {
      const said = await plain.udhcpc();
      assert.match(said, /lease of 192\.168\.172\.\d+ obtained from 192\.168\.172\.1/);
    } finally {
      await plain.unplug();
    }
    const stranger = new VirtualPi(appliance, 'pi4', 'ab000012', `${appliance.folder}/id_ed25519`);
    await eventually(30_000, async () =>
      assert.ok((await appliance.nodes()).waiting.some(({ serial }) => serial === 'ab000012')),
    );
    await stranger.off();
  });

  it('said nothing on the wire but proxy offers to the Pi it serves', async () => {
    capture.kill('SIGINT');
    await once(capture, 'exit');
    const fields = [
      'dhcp.option.dhcp',
      'dhcp.hw.mac_addr',
      'dhcp.ip.your',
      'dhcp.option.vendor_class_id',
      'ip.dst',
    ];
    const { stdout } = await execa('tshark', [
      '-r',
      join(appliance.folder, 'wire.pcap'),
      '-Y',
      `ip.src == ${OURS} && udp.srcport == 67`,
      '-T',
      'fields',
      ...fields.flatMap((field) => ['-e', field]),
    ]);
    const ours = new Set(stdout.split('\n'));
    const { mac } = (await appliance.nodes()).nodes[0] ?? assert.fail('the node is there');
    assert.deepEqual([...ours], [['2', mac, '0.0.0.0', 'PXEClient', '255.255.255.255'].join('\t')]);
  });
});
