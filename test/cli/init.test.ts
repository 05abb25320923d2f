import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderConfig } from '../../src/cli/init.ts';
import { parseConfig } from '../../src/config.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';

describe('the configuration that init writes', () => {
  for (const prefix of [16, 22, 24, 28, 30]) {
    for (const dhcp of ['proxy', 'full', 'off']) {
      it(`is right for a /${prefix} with dhcp ${dhcp}`, () => {
        const own = { interface: 'enp1s0', address: '192.168.172.1' as Ipv4, prefix, mtu: 9000 };
        const text = renderConfig(own, {
          dhcp,
          router: '192.168.172.2' as Ipv4,
          dns: ['192.168.172.2', '9.9.9.9'],
        });
        const config = parseConfig(text, 'netboot.yaml');
        assert.equal(config.interfaces.enp1s0?.dhcp, dhcp);
        const network = resolveNetworks(config.interfaces, [own]).get('enp1s0');
        assert.equal(network?.pool !== undefined, dhcp === 'full');
        assert.equal(network?.mtu, 9000);
      });
    }
  }
});
