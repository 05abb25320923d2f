import { MESSAGE_TYPE, OPTION } from '../dhcp/options.ts';
import { type DhcpMessage, encodeMessage } from '../dhcp/packet.ts';
import { type Ipv4, ipv4ToBytes, UNSPECIFIED } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import { type Board, constantGuid, eepromGuid, serialGuid } from './board.ts';

/** Which program on the Pi is asking; each accepts offers by its own rules (offers.ts). */
export type DhcpStage = '3b ROM' | '3b+ ROM' | 'bootcode.bin' | 'EEPROM';

/** How one firmware stage speaks DHCP: what it writes, and for how long it tries. */
export interface DhcpPersonality {
  readonly stage: DhcpStage;
  readonly chaddr: Mac;
  readonly xid: number;
  readonly guid: Uint8Array;
  readonly parameters: readonly number[];
  /** Pi 3 stages use the address of an OFFER without ever asking for it (boot-net.adoc). */
  readonly sendsRequest: boolean;
  /** Milliseconds between two DISCOVERs or REQUESTs, and until the whole exchange has failed. */
  readonly resendMs: number;
  readonly timeoutMs: number;
}

/** Every Pi 3 ever made uses this one; a server that keys on xid alone mixes them up. */
const PI3_XID = 0x26f30339;
const VENDOR_PXE = [128, 129, 130, 131, 132, 133, 134, 135];
const ROM_PARAMETERS = [43, 60, 67, ...VENDOR_PXE, 66];

/** 5 DISCOVERs, 5 s apart, then the ROM is dead until the next power cycle (boot-net.adoc). */
export function romPersonality(board: Board): DhcpPersonality {
  const isFixed = board.variant === '3b+';
  return {
    stage: isFixed ? '3b+ ROM' : '3b ROM',
    chaddr: board.mac,
    xid: PI3_XID,
    guid: isFixed ? serialGuid(board) : constantGuid(),
    parameters: isFixed ? [...ROM_PARAMETERS, 1, 3] : ROM_PARAMETERS,
    sendsRequest: false,
    resendMs: 5_000,
    timeoutMs: 25_000,
  };
}

/** bootcode.bin starts over with an exchange of its own; it tries for about a minute (raspberrypi/firmware#1124). */
export function bootcodePersonality(board: Board): DhcpPersonality {
  return {
    ...romPersonality(board),
    stage: 'bootcode.bin',
    guid: serialGuid(board),
    parameters: [...ROM_PARAMETERS, 1, 3],
    timeoutMs: 60_000,
  };
}

/** DHCP_REQ_TIMEOUT and DHCP_TIMEOUT have their defaults (eeprom-bootloader.adoc). */
export function eepromPersonality(board: Board, xid: number): DhcpPersonality {
  return {
    stage: 'EEPROM',
    chaddr: board.mac,
    xid,
    guid: eepromGuid(board),
    parameters: [1, 3, 43, 60, 66, 67, ...VENDOR_PXE],
    sendsRequest: true,
    resendMs: 4_000,
    timeoutMs: 45_000,
  };
}

/** The DISCOVER datagram: 322 bytes, 320 from the 3B's ROM. Broadcast bit clear, secs 0, no options 12, 50, 57, 61. */
export function encodeDiscover(personality: DhcpPersonality): Uint8Array {
  return encodeMessage(
    request(personality, [
      [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.discover)],
      [OPTION.parameterRequestList, Uint8Array.from(personality.parameters)],
      ...identity(personality),
    ]),
  );
}

/** The REQUEST of a Pi 4/5: the vendor class is there since 2021, a parameter request list is not (piPXE log). */
export function encodeRequest(personality: DhcpPersonality, address: Ipv4, server: Ipv4): Uint8Array {
  return encodeMessage(
    request(personality, [
      [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.request)],
      [OPTION.requestedIpAddress, ipv4ToBytes(address)],
      [OPTION.serverIdentifier, ipv4ToBytes(server)],
      ...identity(personality),
    ]),
  );
}

type OptionEntry = readonly [code: number, value: Uint8Array];

/** Every Pi calls itself an x86 PC (arch 0), the vendor will not change it (raspberrypi/rpi-eeprom#182). */
function identity(personality: DhcpPersonality): OptionEntry[] {
  return [
    [OPTION.clientArch, Uint8Array.of(0, 0)],
    [OPTION.clientNetworkInterface, Uint8Array.of(1, 2, 1)],
    [OPTION.clientMachineId, personality.guid],
    [OPTION.vendorClass, Buffer.from('PXEClient:Arch:00000:UNDI:002001', 'latin1')],
  ];
}

function request(personality: DhcpPersonality, options: readonly OptionEntry[]): DhcpMessage {
  return {
    op: 1,
    htype: 1,
    hops: 0,
    xid: personality.xid,
    secs: 0,
    flags: 0,
    ciaddr: UNSPECIFIED,
    yiaddr: UNSPECIFIED,
    siaddr: UNSPECIFIED,
    giaddr: UNSPECIFIED,
    chaddr: personality.chaddr,
    sname: '',
    file: '',
    options: new Map(options),
  };
}
