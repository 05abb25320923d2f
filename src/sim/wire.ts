import type { Ipv4 } from '../net/ipv4.ts';
import type { DhcpPersonality } from './dhcp-personality.ts';
import type { FirmwareEvent } from './firmware-event.ts';
import type { Fetched, TftpDialect } from './tftp-client.ts';

/** The boot ends here, as it would on a real board; the message is one sentence that says why. */
export class FirmwareFailure extends Error {
  override readonly name = 'FirmwareFailure';
}

export interface Lease {
  readonly address: Ipv4;
  readonly prefix: number;
  readonly router?: Ipv4;
  /** Where this firmware stage will fetch its files from. */
  readonly tftpServer: Ipv4;
}

/** All that a firmware's script can do to the world. */
export interface Wire {
  /** One whole DHCP exchange; afterwards the interface has the address. @throws FirmwareFailure */
  lease(personality: DhcpPersonality): Promise<Lease>;
  /** One RRQ to its end. `probe` only asks whether the file is there and then breaks off, as firmware does. */
  fetch(server: Ipv4, path: string, dialect: TftpDialect, purpose: 'read' | 'probe'): Promise<Fetched>;
  report(event: FirmwareEvent): void;
}

/** What the firmware leaves in memory for the kernel. */
export interface Handover {
  readonly kernel: { readonly name: string; readonly bytes: Uint8Array };
  readonly initramfs?: { readonly name: string; readonly bytes: Uint8Array };
  /** First line of the fetched cmdline.txt. */
  readonly cmdline: string;
  readonly deviceTree: string;
}
