/**
 * DISCOVER payloads of serial 9ffefdef written out by hand from captures (documentation boot-net.adoc, and the
 * option 97 layout of the EEPROM boot loaders), not with our encoder.
 */

const bootp = (xid: string, chaddr: string) =>
  // op htype hlen hops, xid, secs flags, ciaddr yiaddr siaddr giaddr, chaddr, sname, file, magic cookie
  `01010600${xid}00000000${'00'.repeat(16)}${chaddr}${'00'.repeat(10)}${'00'.repeat(192)}63825363`;

/** Options 93 = 0 (x86 BIOS), 94 = UNDI 2.1. */
const ARCH = '5d0200005e03010201';
const VENDOR_CLASS = `3c20${Buffer.from('PXEClient:Arch:00000:UNDI:002001').toString('hex')}`;
const PI3_MAC = 'b827ebfefdef';

export const expectedDiscover = {
  rom3b: `${bootp('26f30339', PI3_MAC)}350101370c2b3c43808182838485868742${ARCH}611100${'44'.repeat(16)}${VENDOR_CLASS}ff`,
  bootcode: `${bootp('26f30339', PI3_MAC)}350101370e2b3c438081828384858687420103${ARCH}611100${'effdfe9f'.repeat(4)}${VENDOR_CLASS}ff`,
  pi4: `${bootp('12345678', 'dca6320136c2')}350101370e01032b3c42438081828384858687${ARCH}611100${'52506934'}${'1531c000'}${'320136c2'}${'effdfe9f'}${VENDOR_CLASS}ff`,
};
