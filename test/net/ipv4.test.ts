import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  type Ipv4,
  ipv4FromBytes,
  ipv4FromNumber,
  ipv4ToBytes,
  ipv4ToNumber,
  parseIpv4,
} from '../../src/net/ipv4.ts';
import {
  broadcastAddress,
  formatSubnet,
  isHostAddress,
  netmask,
  parseSubnet,
  subnetOf,
} from '../../src/net/subnet.ts';

const ip = (text: string): Ipv4 => parseIpv4(text) ?? assert.fail(`${text} is an address`);

describe('an IPv4 address', () => {
  for (const text of ['1.2.3', '1.2.3.4.5', '01.2.3.4', '256.1.1.1', '1.2.3.-4', '1.2.3.4 ', '', 'a.b.c.d']) {
    it(`is not ${JSON.stringify(text)}`, () => assert.equal(parseIpv4(text), undefined));
  }

  it('survives the way through a number and through bytes', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), (value) => {
        const address = ipv4FromNumber(value);
        assert.equal(ipv4ToNumber(address), value);
        assert.equal(ipv4FromBytes(ipv4ToBytes(address)), address);
        assert.equal(parseIpv4(address), address);
      }),
    );
  });
});

describe('a subnet', () => {
  it('knows its mask, its edges and its hosts', () => {
    const subnet = subnetOf(ip('192.168.172.17'), 24);
    assert.equal(formatSubnet(subnet), '192.168.172.0/24');
    assert.equal(netmask(subnet), '255.255.255.0');
    assert.equal(broadcastAddress(subnet), '192.168.172.255');
    const hosts = ['192.168.172.1', '192.168.172.0', '192.168.172.255', '192.168.173.1'].map((text) =>
      isHostAddress(subnet, ip(text)),
    );
    assert.deepEqual(hosts, [true, false, false, false]);
  });

  it('holds with masks that reach over the sign bit', () => {
    assert.equal(broadcastAddress(subnetOf(ip('200.1.2.3'), 0)), '255.255.255.255');
    assert.equal(formatSubnet(subnetOf(ip('255.255.255.255'), 1)), '128.0.0.0/1');
  });

  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/a', '10.0.0.0/8/8', '/8']) {
    it(`is not ${JSON.stringify(text)}`, () => assert.equal(parseSubnet(text), undefined));
  }
});
