import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OPTION, textBytes } from '../../src/dhcp/options.ts';
import type { DhcpMessage } from '../../src/dhcp/packet.ts';
import type { Node } from '../../src/model/node.ts';
import { sampleGeneration } from '../boot/sample-view.ts';
import { FIRMWARES, hex, PI4 } from './fixtures/discovers.ts';
import { ask, FULL, from, ip, mac, node, PROXY, plain, replyOf, SERVER, serial } from './fixtures/world.ts';

const PC_MAC = mac('52:54:00:12:34:56');
const GUID = hex('00 4c4c4544 00513710 8033b7c0 4f4d3132');
const pc: Node = { serial: serial('00123456'), name: 'pc', image: 'pc', mac: PC_MAC };
const board: Node = { ...pc, name: 'board', image: 'web' };
const LOADERS = { 'undionly.kpxe': 1, 'snponly.efi': 1, 'ipxe-arm64.efi': 1, vmlinuz: 1 };
const generations = [
  { ...sampleGeneration('pc', LOADERS, '/generations/pc'), arch: 'amd64' as const },
  sampleGeneration('web', LOADERS, '/generations/web'),
];
const bare = generations.map((each) => ({ ...each, boot: { ...each.boot, files: {} } }));

/** A DISCOVER as the firmware of that kind sends it. */
function discover(vendorClass: string, arch: string, userClass?: string): DhcpMessage {
  return plain('discover', { chaddr: PC_MAC }, [
    [OPTION.clientArch, hex(arch)],
    [OPTION.clientMachineId, GUID],
    [OPTION.vendorClass, textBytes(vendorClass)],
    ...(userClass === undefined ? [] : [[OPTION.userClass, textBytes(userClass)] as const]),
  ]);
}

const BIOS = discover('PXEClient:Arch:00000:UNDI:002001', '0000');
const UEFI_X64 = discover('PXEClient:Arch:00007:UNDI:003001', '0007');
const UEFI_ARM64 = discover('PXEClient:Arch:00011:UNDI:003000', '000b');
const HTTP_X64 = discover('HTTPClient:Arch:00016:UNDI:003001', '0010');
const HTTP_ARM64 = discover('HTTPClient:Arch:00019:UNDI:003000', '0013');
const IPXE = discover('PXEClient:Arch:00000:UNDI:002001', '0000', 'iPXE');
const IPXE_TLV = discover('PXEClient:Arch:00007:UNDI:003010', '0007', '\x04iPXE');
const U_BOOT = plain('discover', { chaddr: PC_MAC }, [
  [OPTION.clientArch, hex('0016')],
  [OPTION.vendorClass, textBytes('U-Boot.armv8')],
]);

const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('latin1');

const TOLD: ReadonlyArray<{
  name: string;
  given: DhcpMessage;
  node: Node;
  httpPort?: number;
  file?: string;
  url?: string;
  vendorClass?: string;
  checklist: string;
}> = [
  {
    name: 'a PC with BIOS',
    ...{ given: BIOS, node: pc, file: '00123456/undionly.kpxe', vendorClass: 'PXEClient' },
    checklist: '5',
  },
  {
    name: 'a PC with UEFI',
    ...{ given: UEFI_X64, node: pc, file: '00123456/snponly.efi', vendorClass: 'PXEClient' },
    checklist: '60',
  },
  {
    name: 'a board with UEFI',
    ...{ given: UEFI_ARM64, node: board, file: '00123456/ipxe-arm64.efi', vendorClass: 'PXEClient' },
    checklist: '60',
  },
  {
    name: 'UEFI’s HTTP boot, x64',
    ...{ given: HTTP_X64, node: pc, httpPort: 80, vendorClass: 'HTTPClient' },
    url: 'http://192.168.172.1/00123456/snponly.efi',
    checklist: '60',
  },
  {
    name: 'UEFI’s HTTP boot, arm64, from another port',
    ...{ given: HTTP_ARM64, node: board, httpPort: 8080, vendorClass: 'HTTPClient' },
    url: 'http://192.168.172.1:8080/00123456/ipxe-arm64.efi',
    checklist: '60',
  },
  {
    name: 'iPXE',
    ...{ given: IPXE, node: pc, file: '00123456/boot.ipxe', vendorClass: 'PXEClient' },
    checklist: '61',
  },
  {
    name: 'iPXE whose user class has a length, over HTTP',
    ...{ given: IPXE_TLV, node: pc, httpPort: 80, vendorClass: 'PXEClient' },
    file: 'http://192.168.172.1/00123456/boot.ipxe',
    checklist: '61',
  },
  { name: 'U-Boot', given: U_BOOT, node: board, file: '00123456/boot.scr.uimg', checklist: '62' },
];

for (const { name, given, node, httpPort, file = '', url, vendorClass, checklist } of TOLD) {
  for (const network of given === U_BOOT ? [FULL] : [FULL, PROXY]) {
    test(`${name}, ${network.dhcp}: siaddr and its own boot file, no Pi’s menu (checklist ${checklist})`, () => {
      const world = { network, nodes: [node], generations, ...(httpPort ? { httpPort } : {}) };
      const { message } = replyOf(ask(world, given));
      assert.equal(message.siaddr, SERVER);
      assert.equal(message.file, file);
      assert.equal(text(message.options.get(OPTION.bootfileName)), url);
      assert.equal(text(message.options.get(OPTION.vendorClass)), vendorClass);
      assert.doesNotMatch(text(message.options.get(OPTION.vendorSpecific)) ?? '', /Raspberry/);
      const isEchoed = given !== U_BOOT;
      assert.deepEqual(message.options.get(OPTION.clientMachineId), isEchoed ? GUID : undefined);
    });
  }
}

test('a PXE ROM is told to take the named file, and iPXE not to wait for a proxy where there is none', () => {
  const options = (given: DhcpMessage, network = FULL) =>
    replyOf(ask({ network, nodes: [pc], generations }, given)).message.options;
  assert.deepEqual(options(BIOS).get(OPTION.vendorSpecific), hex('06 01 08 ff'));
  assert.deepEqual(options(IPXE).get(175), hex('b0 01 01'));
  assert.equal(options(IPXE, PROXY).get(175), undefined);
});

for (const firmware of FIRMWARES) {
  test(`${firmware.name} never gets a PC’s boot program, whatever its image ships (checklist 4, 5)`, () => {
    for (const network of [FULL, PROXY]) {
      const { message } = replyOf(ask({ network, nodes: [node(firmware)], generations }, from(firmware)));
      assert.equal(message.file, '');
      assert.equal(message.options.get(OPTION.bootfileName), undefined);
      assert.match(text(message.options.get(OPTION.vendorSpecific)) ?? '', /Raspberry Pi Boot/);
    }
  });
}

describe('is told nothing of booting, and why', () => {
  const cases: ReadonlyArray<{
    name: string;
    given: DhcpMessage;
    nodes?: Node[];
    says: RegExp;
    ships?: typeof bare;
  }> = [
    { name: 'a PC nobody added', given: UEFI_X64, nodes: [], says: /^PC \(UEFI x64\) was not added$/ },
    {
      name: 'a PC whose image ships no loader',
      given: BIOS,
      ships: bare,
      says: /ships no undionly\.kpxe: add ipxe/,
    },
    { name: 'a PC whose image is for Pis', given: UEFI_X64, nodes: [board], says: /image web is for arm64/ },
    {
      name: 'iPXE on a PC whose image is for Pis',
      given: IPXE,
      nodes: [board],
      says: /image web is for arm64/,
    },
    { name: 'HTTP boot while HTTP is off', given: HTTP_X64, says: /boots by HTTP, which is off/ },
    {
      name: '32-bit UEFI',
      given: discover('PXEClient:Arch:00006:UNDI:003001', '0006'),
      says: /no boot loader of ours is for it/,
    },
    {
      name: 'a Pi whose image is for PCs',
      given: from(PI4),
      nodes: [node(PI4, { image: 'pc' })],
      says: /is for PCs/,
    },
    {
      name: 'U-Boot, which takes one server’s word alone',
      given: U_BOOT,
      nodes: [board],
      says: /dhcp: full/,
    },
    {
      name: 'U-Boot in the clothes of UEFI, without a UUID',
      given: plain('discover', { chaddr: PC_MAC }, [
        [OPTION.vendorClass, textBytes('PXEClient:Arch:00011:UNDI:003000')],
      ]),
      nodes: [board],
      says: /starts no iPXE/,
    },
  ];
  for (const { name, given, nodes = [pc], says, ships = generations } of cases) {
    test(name, () => {
      const decision = ask({ network: PROXY, nodes, generations: ships }, given);
      assert.ok(decision.kind === 'ignore', `answered with ${decision.kind}`);
      assert.match(decision.reason, says);
    });
  }
});

test('"serve" serves machines without a serial number as well: the end of the MAC stands for it', () => {
  const policy = { unknown: 'serve', defaultImage: 'pc' } as const;
  const { message, leaseChanges } = replyOf(ask({ policy, generations }, UEFI_X64));
  assert.equal(message.file, '00123456/snponly.efi');
  const [change] = leaseChanges;
  assert.equal(change?.kind === 'put' && change.lease.serial, '00123456');
});

test('what asks to boot is seen under its own name; what does not is not', () => {
  const machine = (given: DhcpMessage) => ask({ generations }, given).sighting?.machine;
  assert.deepEqual([BIOS, UEFI_X64, UEFI_ARM64, HTTP_X64, HTTP_ARM64, IPXE, IPXE_TLV, U_BOOT].map(machine), [
    'PC (BIOS)',
    'PC (UEFI x64)',
    'UEFI arm64',
    'PC (UEFI x64)',
    'UEFI arm64',
    'iPXE (BIOS)',
    'iPXE (UEFI x64)',
    'U-Boot',
  ]);
  assert.equal(machine(plain('discover', { chaddr: PC_MAC })), undefined);
  const known = ask({ nodes: [pc], generations }, BIOS).sighting;
  assert.deepEqual([known?.mac, known?.serial], [PC_MAC, pc.serial]);
});

test('one address for every stage of a PC: ROM, iPXE, kernel', () => {
  const world = { nodes: [{ ...pc, ip: ip('192.168.172.105') }], generations };
  for (const given of [BIOS, IPXE, plain('discover', { chaddr: PC_MAC })]) {
    assert.equal(replyOf(ask(world, given)).message.yiaddr, '192.168.172.105');
  }
});
