import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Client, classify } from '../../src/dhcp/client.ts';
import { OPTION, textBytes } from '../../src/dhcp/options.ts';
import type { DhcpMessage } from '../../src/dhcp/packet.ts';
import { hex, PI4, PI5, ROM3, ROM3_PLUS } from './fixtures/discovers.ts';
import { from, mac, plain } from './fixtures/world.ts';

const vendor = (text: string) => [OPTION.vendorClass, textBytes(text)] as const;
const arch = (bytes: string) => [OPTION.clientArch, hex(bytes)] as const;
const guid = (bytes: string) => [OPTION.clientMachineId, hex(bytes)] as const;
const userClass = (bytes: string) => [OPTION.userClass, hex(bytes)] as const;
const PXE = vendor('PXEClient:Arch:00000:UNDI:002001');
const PI_MAC = { chaddr: mac('dc:a6:32:01:36:c2') };
const SERIAL_X4 = guid(`00 ${'effdfe9f'.repeat(4)}`);

const CASES: ReadonlyArray<{ name: string; given: DhcpMessage; expect: unknown }> = [
  { name: '3B mask ROM', given: from(ROM3), expect: { kind: 'pi', model: 'pi3-rom' } },
  {
    name: '3B+ ROM and bootcode.bin',
    given: from(ROM3_PLUS),
    expect: { kind: 'pi', model: 'pi3', serial: 'e75e2a2e' },
  },
  { name: 'Pi 4', given: from(PI4), expect: { kind: 'pi', model: 'pi4', serial: 'e09200d8' } },
  { name: 'Pi 5', given: from(PI5), expect: { kind: 'pi', model: 'pi5', serial: 'bd989ae1' } },
  {
    name: 'Pi 5 before 2023-10-30, which said RPi4',
    given: from(PI5, 'discover', [guid('00 52506934 7041c000 67102030 e19a98bd')]),
    expect: { kind: 'pi', model: 'pi5', serial: 'bd989ae1' },
  },
  {
    name: 'a Pi whose EEPROM sets another MAC',
    given: { ...from(PI4), chaddr: mac('02:00:00:00:00:01') },
    expect: { kind: 'pi', model: 'pi4', serial: 'e09200d8' },
  },
  {
    name: 'Pi 4 with DHCP_OPTION97=0',
    given: plain('discover', PI_MAC, [PXE, arch('0000'), SERIAL_X4]),
    expect: { kind: 'pi', model: 'pi4', serial: '9ffefdef' },
  },
  {
    name: 'Pi 4 with an option 97 of its owner’s',
    given: plain('discover', PI_MAC, [PXE, arch('0000'), guid('00 41424344 1431d000 32b023c3 d80092e0')]),
    expect: { kind: 'pi', model: 'pi4' },
  },
  {
    name: 'the arch in option 60 alone',
    given: plain('discover', PI_MAC, [PXE]),
    expect: { kind: 'pi', model: 'pi4' },
  },
  {
    name: 'a PC with BIOS',
    given: plain('discover', {}, [PXE, arch('0000'), guid('00 4c4c4544 00513710 8033b7c0 4f4d3132')]),
    expect: { kind: 'pxe', arch: 0 },
  },
  {
    name: 'a PC with UEFI',
    given: plain('discover', {}, [vendor('PXEClient:Arch:00007:UNDI:003016'), arch('0007')]),
    expect: { kind: 'pxe', arch: 7 },
  },
  {
    name: 'EDK2 on a Pi',
    given: plain('discover', PI_MAC, [
      vendor('PXEClient:Arch:00011:UNDI:003000'),
      arch('000b'),
      guid('00 1431d000 00000000 0000dca6 320136c2'),
    ]),
    expect: { kind: 'pxe', arch: 11 },
  },
  {
    name: 'EDK2 on a Pi that tells its serial',
    given: plain('discover', PI_MAC, [vendor('PXEClient:Arch:00011:UNDI:003000'), arch('000b'), SERIAL_X4]),
    expect: { kind: 'pxe', arch: 11 },
  },
  {
    name: 'EDK2 without option 93',
    given: plain('discover', PI_MAC, [vendor('PXEClient:Arch:00011:UNDI:003000')]),
    expect: { kind: 'pxe', arch: 11 },
  },
  {
    name: 'iPXE, bare text',
    given: plain('discover', PI_MAC, [PXE, arch('0000'), userClass('69505845')]),
    expect: { kind: 'ipxe', arch: 0 },
  },
  {
    name: 'iPXE after RFC 3004',
    given: plain('discover', PI_MAC, [vendor('PXEClient:Arch:00011:UNDI:003010'), userClass('0469505845')]),
    expect: { kind: 'ipxe', arch: 11 },
  },
  {
    name: 'UEFI HTTP boot',
    given: plain('discover', PI_MAC, [vendor('HTTPClient:Arch:00019:UNDI:003000'), arch('0013')]),
    expect: { kind: 'http', arch: 19 },
  },
  {
    name: 'U-Boot',
    given: plain('discover', PI_MAC, [vendor('U-Boot.armv8'), arch('0016')]),
    expect: { kind: 'u-boot' },
  },
  {
    name: 'U-Boot with a vendor class of its owner’s',
    given: plain('discover', PI_MAC, [vendor('rack'), arch('0016')]),
    expect: { kind: 'u-boot' },
  },
  { name: 'the Linux kernel on a Pi', given: plain('discover', PI_MAC), expect: { kind: 'plain' } },
  {
    name: 'dhcpcd on a Pi',
    given: plain('request', PI_MAC, [vendor('dhcpcd-10.1.0:Linux-6.12')]),
    expect: { kind: 'plain' },
  },
  {
    name: 'REQUEST of an early Pi 4 EEPROM, without option 60',
    given: plain('request', PI_MAC),
    expect: { kind: 'plain' },
  },
];

for (const { name, given, expect } of CASES) {
  test(`${name} is ${JSON.stringify(expect)} (checklist 4)`, () =>
    assert.deepEqual(classify(given), expect as Client));
}
