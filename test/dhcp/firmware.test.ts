import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BOOT_TEXT,
  type DhcpHabits,
  FIRMWARES,
  MACHINE_ID_MAGICS,
  OUI_HINTS,
} from '../../src/boot/firmware.ts';
import { classify } from '../../src/dhcp/client.ts';
import { OPTION, textBytes } from '../../src/dhcp/options.ts';
import { type DhcpMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { asciiFromBytes } from '../../src/net/bytes.ts';
import { hex, PI4, PI5, ROM3, ROM3_PLUS } from './fixtures/discovers.ts';
import { ask, from, mac, node, PROXY, plain, replyOf, SERVER } from './fixtures/world.ts';

/** Of each form of option 97 the bytes of one board. */
const MACHINE_IDS = {
  constant: `00 ${'44'.repeat(16)}`,
  serial: '00 2e2a5ee7 2e2a5ee7 2e2a5ee7 2e2a5ee7',
  board: '00 52506934 1431d000 32b023c3 d80092e0',
  uuid: '00 4c4c4544 00513710 8033b7c0 4f4d3132',
};
const BOARDS = { constant: ROM3, serial: ROM3_PLUS, board: PI4, uuid: PI4 };

/** The DISCOVER that the table says this firmware sends, in the order every Pi has its options. */
function discoverOf(habits: DhcpHabits): DhcpMessage {
  const { machineId, arch, userClass, vendorClass, parameters, xid } = habits;
  const text = (code: number, fact: { value: string } | undefined) =>
    fact ? [[code, textBytes(fact.value)] as const] : [];
  return plain('discover', { chaddr: boardOf(habits).mac, xid: xid?.value ?? 0x6a0b1c2d }, [
    [OPTION.parameterRequestList, Uint8Array.from(parameters.value)],
    ...(arch ? [[OPTION.clientArch, Uint8Array.of(0, arch.value)] as const] : []),
    ...(arch ? [[OPTION.clientNetworkInterface, hex('010201')] as const] : []),
    ...(machineId ? [[OPTION.clientMachineId, hex(MACHINE_IDS[machineId.value])] as const] : []),
    ...text(OPTION.vendorClass, vendorClass),
    ...text(OPTION.userClass, userClass),
  ]);
}

function boardOf({ machineId }: DhcpHabits) {
  const firmware = BOARDS[machineId?.value ?? 'uuid'];
  return { ...firmware, mac: mac(firmware.mac) };
}

const STAGES = FIRMWARES.flatMap(({ id, dhcp }) => (dhcp ? [{ id, dhcp }] : []));

const CAPTURED = {
  'pi3b-rom': ROM3,
  'pi3b+-rom': ROM3_PLUS,
  'bootcode.bin': ROM3_PLUS,
  'pi4-eeprom': PI4,
} as const;
for (const [id, firmware] of Object.entries(CAPTURED)) {
  test(`the table's DISCOVER of ${id} is the captured one, byte by byte (checklist 1)`, () => {
    const { dhcp } = STAGES.find((stage) => stage.id === id) ?? assert.fail(id);
    const options = discoverOf(dhcp);
    const built = Buffer.from(encodeMessage(options)).subarray(0, firmware.bytes.length);
    assert.deepEqual(built.toString('hex'), Buffer.from(firmware.bytes).toString('hex'));
  });
}

for (const { id, dhcp } of STAGES) {
  const message = discoverOf(dhcp);
  const world = { nodes: [node(boardOf(dhcp), { mac: boardOf(dhcp).mac })] };
  const isNative = dhcp.bootText !== undefined;

  test(`${id} is ${isNative ? 'a' : 'no'} native Pi`, () => {
    assert.equal(classify(message).kind === 'pi', isNative);
  });

  for (const network of ['full', 'proxy'] as const) {
    const decision = ask(network === 'proxy' ? { ...world, network: PROXY } : world, message);
    const menu = decision.kind === 'reply' ? decision.message.options.get(OPTION.vendorSpecific) : undefined;

    if (isNative) {
      test(`${id}, ${network}: the text it looks for, siaddr and 66, whichever it trusts (checklist 10, 11, 13)`, () => {
        const reply = replyOf(decision);
        assert.ok(menu && asciiFromBytes(menu).includes(dhcp.bootText?.value ?? assert.fail()));
        assert.equal(reply.message.siaddr, SERVER);
        assert.deepEqual(reply.message.options.get(OPTION.tftpServerName), textBytes(SERVER));
        assert.equal(reply.message.hops, 0);
      });
      test(`${id}, ${network}: held back as long as it needs, and before its next try (checklist 19)`, () => {
        const { delayMs } = replyOf(decision);
        assert.equal(delayMs, dhcp.delayMs?.value[network] ?? 0);
        assert.ok(delayMs < Math.min(dhcp.resendMs.value, 4000));
        assert.ok(delayMs + dhcp.resendMs.value < (dhcp.giveUpMs?.value ?? 0), 'there is another try');
      });
    } else {
      test(`${id}, ${network}: never the Pi's menu, and no delay (checklist 5)`, () => {
        if (menu) assert.ok(!asciiFromBytes(menu).includes(BOOT_TEXT.value.trim()));
        assert.equal(decision.kind === 'reply' ? decision.delayMs : 0, 0);
      });
    }
    if (dhcp.needsBroadcast && decision.kind === 'reply') {
      test(`${id}, ${network}: answered by broadcast (checklist 18)`, () =>
        assert.deepEqual(decision.destination, { address: '255.255.255.255', port: 68 }));
    }
  }

  if (isNative) {
    test(`${id}: its offer is kept for a whole boot, confirmed or not (checklist 20)`, () => {
      const [change] = replyOf(ask(world, message)).leaseChanges;
      assert.ok(change?.kind === 'put');
      assert.ok(change.lease.expiresAt - 1_800_000_000_000 >= 5 * 60_000);
    });
  }
  if (!dhcp.vendorClass) {
    test(`${id}: it does not ask to boot, and a proxy is silent (checklist 16)`, () =>
      assert.equal(ask({ ...world, network: PROXY }, message).kind, 'ignore'));
  }
}

for (const magic of MACHINE_ID_MAGICS.value) {
  test(`the magic ${magic} of option 97 is a Pi's, its model by the board revision (checklist 3)`, () => {
    const id = (revision: string) =>
      Uint8Array.of(0, ...textBytes(magic), ...hex(`${revision} 32b023c3 d80092e0`));
    const model = (revision: string) => {
      const client = classify(
        plain('discover', {}, [
          [OPTION.vendorClass, textBytes('PXEClient:Arch:00000:UNDI:002001')],
          [OPTION.clientMachineId, id(revision)],
        ]),
      );
      return client.kind === 'pi' ? `${client.model} ${client.serial}` : client.kind;
    };
    assert.equal(model('1431d000'), 'pi4 e09200d8');
    assert.equal(model('7041c000'), 'pi5 e09200d8');
  });
}

for (const [prefix, { value }] of OUI_HINTS) {
  test(`the prefix ${prefix} hints at ${value} when option 97 says nothing (checklist 4, 7)`, () => {
    const message = plain('discover', { chaddr: mac(`${prefix}:01:02:03`) }, [
      [OPTION.vendorClass, textBytes('PXEClient:Arch:00000:UNDI:002001')],
      [OPTION.clientArch, hex('0000')],
    ]);
    assert.deepEqual(classify(message), { kind: 'pi', model: value });
    const told = { ...from(PI5), chaddr: message.chaddr };
    assert.deepEqual(
      classify(told),
      { kind: 'pi', model: 'pi5', serial: PI5.serial },
      'option 97 goes first',
    );
  });
}
