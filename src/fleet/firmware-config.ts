import type { Config } from '../config.ts';
import type { BootKeys } from '../model/boot-key.ts';
import { Refusal } from '../model/command.ts';
import { bootTreeBytes } from '../model/generation.ts';
import type { Node } from '../model/node.ts';
import { type EepromAnswer, eepromConfig, modelOf } from './eeprom-config.ts';
import type { Fleet } from './fleet.ts';

/** What to set in the EEPROM of this node. @throws Refusal for HTTP when that is off. */
export async function firmwareConfig(
  config: Pick<Config, 'http' | 'nodes'>,
  fleet: Fleet,
  bootKeys: BootKeys,
  node: Node,
  boot = config.http.port === 'off' ? ('tftp' as const) : ('http' as const),
): Promise<EepromAnswer> {
  const { networks, published } = fleet.view();
  const { port } = config.http;
  if (boot === 'http' && port === 'off') {
    const remedy = 'Take "http: { port: off }" out of the configuration, or ask for TFTP: --tftp';
    throw new Refusal('HTTP is not served', remedy);
  }
  const seen = fleet.sightings.bySerial(node.serial);
  // Where it was seen, else where Pis are; there is one at least.
  const network = networks.get(seen?.interface ?? '') ?? [...networks.values()][0];
  if (!network) throw new Error('no interface is served');
  const generation = published.get(node.image);
  return eepromConfig({
    node,
    model: modelOf(seen?.machine, node.mac ?? seen?.mac, config.nodes.ouis),
    boot,
    server: network.address,
    httpPort: port === 'off' ? 80 : port,
    fingerprint: boot === 'http' ? (await bootKeys.current())?.fingerprint : undefined,
    bootTreeBytes: generation && bootTreeBytes(generation),
  });
}
