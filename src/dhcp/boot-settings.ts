import type { Ipv4 } from '../net/ipv4.ts';
import { machineName } from './client.ts';
import type { Inquiry } from './decision.ts';
import { bootOptions, type OptionEntry } from './reply.ts';

/** What a reply tells of booting; an address and its lease are the caller's. */
export interface BootSettings {
  readonly kind: 'boot';
  readonly siaddr?: Ipv4;
  readonly file?: string;
  readonly options: readonly OptionEntry[];
  /** Why, in words. */
  readonly note: string;
}

export interface NothingToBoot {
  readonly kind: 'nothing';
  readonly reason: string;
}

/** What this client is told to boot, by the firmware that asks; the same in full and in proxy mode. */
export function bootSettings(inquiry: Inquiry): BootSettings | NothingToBoot {
  const { client, isServed, network } = inquiry;
  switch (client.kind) {
    case 'pi':
      if (!isServed) return nothing(`${machineName(client.model)} was not added`);
      return {
        kind: 'boot',
        siaddr: network.address,
        options: bootOptions(inquiry),
        note: `${machineName(client.model)} boots`,
      };
    case 'pxe':
    case 'ipxe':
    case 'http':
    case 'u-boot':
      // Here their boot programs will be named. Never the Pi's menu: it would trap them in a menu of one dead item.
      return nothing(`${client.kind}: we have nothing for it to boot`);
    case 'plain':
      return nothing('it does not ask to boot');
  }
}

function nothing(reason: string): NothingToBoot {
  return { kind: 'nothing', reason };
}
