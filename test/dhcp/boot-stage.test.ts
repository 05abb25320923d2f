import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OPTION, textBytes } from '../../src/dhcp/options.ts';
import type { DhcpMessage } from '../../src/dhcp/packet.ts';
import { sampleGeneration } from '../boot/sample-view.ts';
import { PI4, ROM3, ROM3_PLUS } from './fixtures/discovers.ts';
import { ask, FULL, from, mac, node, PROXY, plain, type World } from './fixtures/world.ts';

const generations = [sampleGeneration('web', {}, '/generations/web')];
const vendor = (text: string) => [OPTION.vendorClass, textBytes(text)] as const;
const chaddr = mac(PI4.mac);

describe('a stage of a boot', () => {
  const known: World = { nodes: [node(PI4, { mac: chaddr })], generations };
  const pi3: World = { nodes: [node(ROM3_PLUS, { mac: mac(ROM3.mac) })], generations };
  const cases: Array<{ given: string; world: World; message: DhcpMessage; expect: number | undefined }> = [
    { given: 'the EEPROM of a Pi 4', world: known, message: from(PI4), expect: 1 },
    { given: 'the ROM of a Pi 3, by its MAC', world: pi3, message: from(ROM3), expect: 0 },
    {
      given: 'a PXE ROM, by its MAC',
      world: known,
      message: plain('discover', { chaddr }, [vendor('PXEClient:Arch:00011:UNDI:003000')]),
      expect: 2,
    },
    {
      given: 'iPXE',
      world: known,
      message: plain('discover', { chaddr }, [[OPTION.userClass, textBytes('iPXE')]]),
      expect: 3,
    },
    {
      given: 'U-Boot',
      world: known,
      message: plain('discover', { chaddr }, [vendor('U-Boot.armv8')]),
      expect: 3,
    },
    { given: 'not the kernel', world: known, message: plain('discover', { chaddr }), expect: undefined },
    {
      given: 'not a REQUEST',
      world: known,
      message: plain('request', { chaddr }, [vendor('PXEClient:Arch:00011:UNDI:003000')]),
      expect: undefined,
    },
    {
      given: 'not a machine that is not served',
      world: { nodes: [], generations },
      message: from(PI4),
      expect: undefined,
    },
    {
      given: 'an unknown Pi that is served',
      world: { nodes: [], generations, policy: { unknown: 'serve', defaultImage: 'web' } },
      message: from(PI4),
      expect: 1,
    },
  ];
  for (const { given, world, message, expect } of cases) {
    for (const network of [FULL, PROXY]) {
      it(`is ${given} (${network.dhcp})`, () => {
        const { stage } = ask({ ...world, network }, message);
        assert.equal(stage?.order, expect);
        if (stage) assert.equal(stage.xid, message.xid);
      });
    }
  }
});
