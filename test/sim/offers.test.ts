import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPTION } from '../../src/dhcp/options.ts';
import { type Ipv4, ipv4ToBytes, UNSPECIFIED } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import type { DhcpStage } from '../../src/sim/dhcp-personality.ts';
import { chooseOffer, type HeardReply } from '../../src/sim/offers.ts';

const ROUTER = '10.0.0.1' as Ipv4;
const PROXY = '10.0.0.2' as Ipv4;
const OTHER = '10.9.9.9' as Ipv4;
const ADDRESS = '10.0.0.50' as Ipv4;
const MENU = 'Raspberry Pi Boot';

interface Given {
  source?: Ipv4;
  yiaddr?: Ipv4;
  siaddr?: Ipv4;
  hops?: number;
  text?: string;
  option66?: string;
}

function offer(given: Given): HeardReply {
  const source = given.source ?? ROUTER;
  const options = new Map<number, Uint8Array>([
    [OPTION.messageType, Uint8Array.of(2)],
    [OPTION.serverIdentifier, ipv4ToBytes(source)],
  ]);
  if (given.text !== undefined) options.set(OPTION.vendorSpecific, Buffer.from(given.text));
  if (given.option66 !== undefined) options.set(OPTION.tftpServerName, Buffer.from(given.option66));
  const base = { op: 2, htype: 1, xid: 1, secs: 0, flags: 0, sname: '', file: '' } as const;
  const addresses = { ciaddr: UNSPECIFIED, giaddr: UNSPECIFIED, chaddr: 'dc:a6:32:00:00:01' as Mac };
  const { yiaddr = UNSPECIFIED, siaddr = UNSPECIFIED, hops = 0 } = given;
  return { source, message: { ...base, ...addresses, hops, yiaddr, siaddr, options } };
}

const ip = (more: Given = {}) => offer({ yiaddr: ADDRESS, ...more });
const proxy = (more: Given = {}) => offer({ source: PROXY, text: MENU, ...more });

const cases: { name: string; stage: DhcpStage; heard: HeardReply[]; expect: Ipv4 | RegExp }[] = [
  { name: 'nothing heard', stage: 'EEPROM', heard: [], expect: /no DHCP server answered/ },
  {
    name: 'Pi 4/5: a router’s plain offer keeps it waiting',
    stage: 'EEPROM',
    heard: [ip()],
    expect: /10\.0\.0\.1 has 10\.0\.0\.50, no option 43 and no option 66/,
  },
  {
    name: 'Pi 4/5: siaddr alone is not enough',
    stage: 'EEPROM',
    heard: [ip({ siaddr: ROUTER })],
    expect: /no option 66/,
  },
  { name: 'Pi 4/5: option 66 is enough', stage: 'EEPROM', heard: [ip({ option66: OTHER })], expect: OTHER },
  {
    name: 'Pi 4/5: a NUL after option 66 does no harm',
    stage: 'EEPROM',
    heard: [ip({ option66: `${OTHER}\0` })],
    expect: OTHER,
  },
  {
    name: 'Pi 4/5: option 66 with a name is not understood',
    stage: 'EEPROM',
    heard: [ip({ option66: 'boot.lan' })],
    expect: /"boot\.lan", which is not an IPv4 address/,
  },
  {
    name: 'Pi 4/5: the menu text, server from siaddr',
    stage: 'EEPROM',
    heard: [ip({ text: MENU, siaddr: OTHER })],
    expect: OTHER,
  },
  {
    name: 'Pi 4/5: option 66 beats siaddr',
    stage: 'EEPROM',
    heard: [ip({ text: MENU, siaddr: ROUTER, option66: OTHER })],
    expect: OTHER,
  },
  {
    name: 'Pi 4/5: a menu with another text',
    stage: 'EEPROM',
    heard: [ip({ text: 'Network boot' })],
    expect: /an option 43 without "Raspberry Pi Boot"/,
  },
  {
    name: 'Pi 4/5: junk around the text',
    stage: 'EEPROM',
    heard: [ip({ text: `~~${MENU}~~` })],
    expect: ROUTER,
  },
  {
    name: 'Pi 4/5: address, then proxy',
    stage: 'EEPROM',
    heard: [ip(), proxy({ siaddr: OTHER })],
    expect: OTHER,
  },
  {
    name: 'Pi 4/5: proxy, then address; siaddr 0: the packet’s source',
    stage: 'EEPROM',
    heard: [proxy(), ip({ siaddr: ROUTER })],
    expect: PROXY,
  },
  {
    name: 'Pi 4/5: only a proxy',
    stage: 'EEPROM',
    heard: [proxy()],
    expect: /10\.0\.0\.2 says where to boot from, but no server offered an address/,
  },
  {
    name: 'Pi 4/5: a proxy needs the text',
    stage: 'EEPROM',
    heard: [ip(), offer({ source: PROXY, option66: OTHER })],
    expect: /option 66 of a proxy offer does not count/,
  },
  {
    name: '3B ROM: text with three spaces, from its sender',
    stage: '3b ROM',
    heard: [ip({ text: `${MENU}   `, siaddr: OTHER, option66: OTHER })],
    expect: ROUTER,
  },
  {
    name: '3B ROM: text without the spaces',
    stage: '3b ROM',
    heard: [ip({ text: MENU })],
    expect: /without the three spaces/,
  },
  {
    name: '3B ROM: through a relay',
    stage: '3b ROM',
    heard: [ip({ text: `${MENU}   `, hops: 1 })],
    expect: /relay/,
  },
  {
    name: '3B+ ROM: through a relay',
    stage: '3b+ ROM',
    heard: [ip({ text: MENU, hops: 1 })],
    expect: ROUTER,
  },
  {
    name: '3B+ ROM: option 66 alone is not enough',
    stage: '3b+ ROM',
    heard: [ip({ option66: OTHER })],
    expect: /no option 43/,
  },
  {
    name: 'bootcode.bin: option 66 alone',
    stage: 'bootcode.bin',
    heard: [ip({ option66: OTHER })],
    expect: OTHER,
  },
  {
    name: 'bootcode.bin: siaddr alone',
    stage: 'bootcode.bin',
    heard: [ip({ siaddr: OTHER })],
    expect: OTHER,
  },
  {
    name: 'bootcode.bin: a router that names itself in siaddr keeps it waiting for the proxy',
    stage: 'bootcode.bin',
    heard: [ip({ siaddr: ROUTER }), proxy({ siaddr: PROXY })],
    expect: PROXY,
  },
];

for (const { name, stage, heard, expect } of cases) {
  test(name, () => {
    const choice = chooseOffer(stage, heard);
    if (expect instanceof RegExp) {
      assert.equal(choice.kind, 'waiting');
      assert.match(choice.reasons.join('; '), expect);
    } else {
      assert.equal(choice.kind, 'accepted', JSON.stringify(choice));
      assert.equal(choice.tftpServer, expect);
      assert.equal(choice.lease.message.yiaddr, ADDRESS);
    }
  });
}
