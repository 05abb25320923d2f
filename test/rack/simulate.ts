import { execa } from 'execa';
import { type Appliance, NETBOOT } from './appliance.ts';

/** What a virtual Pi without `--boot` came to. */
export interface Boot {
  /** The firmware had all that it starts a kernel with. */
  readonly isKernelServed: boolean;
  /** All it said, line by line. */
  readonly transcript: string;
  /** The paths it asked for, in order. */
  readonly asked: readonly string[];
  /** The same for its DHCP: DISCOVER, OFFER, REQUEST, ACK. */
  readonly verbs: readonly string[];
}

/** Powers on a virtual Pi as `netboot sim` does, until its firmware hands over or gives up. */
export async function powerOn(
  appliance: Pick<Appliance, 'rack'>,
  model: string,
  ...options: string[]
): Promise<Boot> {
  return powerOnFor(120_000, appliance, model, ...options);
}

/** The same, but its power is cut when the time is over: a Pi that nobody answers goes on asking for long. */
export async function powerOnFor(
  milliseconds: number,
  appliance: Pick<Appliance, 'rack'>,
  model: string,
  ...options: string[]
): Promise<Boot> {
  const argv = ['sim', ...model.split(' '), '--rack', appliance.rack, ...options];
  const { all } = await execa(NETBOOT, argv, { all: true, reject: false, timeout: milliseconds });
  return {
    isKernelServed: /── kernel served: /.test(all),
    transcript: all,
    asked: [...all.matchAll(/ RRQ +(\S+) →/g)].map(([, path]) => path as string),
    verbs: [...all.matchAll(/^pi\S+ \S+ {2}(DISCOVER|OFFER|REQUEST|ACK|NAK|\(no ACK\)) /gm)].map(
      ([, verb]) => verb as string,
    ),
  };
}
