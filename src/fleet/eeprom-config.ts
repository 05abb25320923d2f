import { modelOfOui, type PiModel } from '../boot/firmware.ts';
import type { Node } from '../model/node.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { type Mac, oui } from '../net/mac.ts';

export interface EepromQuestion {
  readonly node: Pick<Node, 'serial' | 'name' | 'tftpPrefix'>;
  /** What it is, where somebody knows. */
  readonly model?: PiModel | undefined;
  readonly boot: 'http' | 'tftp';
  /** Our address on the node's network. */
  readonly server: Ipv4;
  readonly httpPort: number;
  /** Of the operator's key, once there is one. */
  readonly fingerprint?: string | undefined;
  /** Of the node's boot tree, once there is one. */
  readonly bootTreeBytes?: number | undefined;
}

/** What to set in a Pi's boot EEPROM so that it boots from us, and how. */
export interface EepromAnswer {
  /** Lines for the EEPROM's configuration; none where a Pi has no EEPROM. */
  readonly settings: readonly string[];
  /** What a person does, in order. */
  readonly steps: readonly string[];
}

/** Of a RAM disk: "the maximum size for a ramdisk file is 96MB" (config_txt/boot.adoc, boot_ramdisk). */
export const MOST_BOOT_IMG_BYTES = 96 * 2 ** 20;

/** @param machine what its firmware said it is, in the words of a sighting; goes before what its MAC hints at. */
export function modelOf(
  machine: string | undefined,
  mac: Mac | undefined,
  ouis?: ReadonlyMap<string, PiModel>,
): PiModel | undefined {
  const [, generation] = /^Pi ([345])\b/.exec(machine ?? '') ?? [];
  if (generation !== undefined) return `pi${generation as '3' | '4' | '5'}`;
  return mac && modelOfOui(oui(mac), ouis);
}

export function eepromConfig(question: EepromQuestion): EepromAnswer {
  const { model, boot } = question;
  if (model === 'pi3' || model === 'pi3-rom') return { settings: [], steps: withoutEeprom(boot) };
  return boot === 'http' ? overHttp(question) : overTftp(question);
}

/** Nibbles of BOOT_ORDER are read from the right: 1 SD card, 2 TFTP, 7 HTTP, f from the start (eeprom-bootloader.adoc). */
const BOOT_ORDER = { tftp: '0xf21', http: '0xf71' } as const;
/** After a failure it tries again so often, with a pause, before it goes on in BOOT_ORDER (release notes 2020-06-03). */
const RETRIES = 2;

function overTftp({ node: { tftpPrefix, name } }: EepromQuestion): EepromAnswer {
  const prefix = tftpPrefix ? ['TFTP_PREFIX=1', `TFTP_PREFIX_STR=${tftpPrefix}`] : ['TFTP_PREFIX=0'];
  return {
    settings: [`BOOT_ORDER=${BOOT_ORDER.tftp}`, `NET_BOOT_MAX_RETRIES=${RETRIES}`, ...prefix],
    steps: [
      `On the Pi, with Raspberry Pi OS on an SD card: save the settings as boot.conf (here: netboot firmware-config ${name} --tftp > boot.conf).`,
      'There: sudo rpi-eeprom-config --apply boot.conf && sudo reboot',
      'Take the SD card out. Without one, it boots from the network.',
    ],
  };
}

function overHttp(question: EepromQuestion): EepromAnswer {
  const { node, model, server, httpPort, fingerprint, bootTreeBytes = 0 } = question;
  const chip = model && { pi4: '2711', pi5: '2712' }[model as 'pi4' | 'pi5'];
  const firmware = `/lib/firmware/raspberrypi/bootloader-${chip ?? 'CHIP'}/default/pieeprom-*.bin`;
  const which = chip === undefined ? ' (CHIP: 2711 of a Pi 4, 400 or CM4; 2712 of a Pi 5, 500 or CM5)' : '';
  const key = fingerprint === undefined ? 'it makes your key' : `your key, SHA-256 ${fingerprint}`;
  const isLarge = bootTreeBytes > MOST_BOOT_IMG_BYTES;
  return {
    settings: [
      `BOOT_ORDER=${BOOT_ORDER.http}`,
      `NET_BOOT_MAX_RETRIES=${RETRIES}`,
      `HTTP_HOST=${server}`,
      `HTTP_PORT=${httpPort}`,
      `HTTP_PATH=${node.serial}`,
      // An update by Raspberry Pi's package would take the key out again.
      'FREEZE_VERSION=1',
    ],
    steps: [
      `Here: netboot keys > netboot.pem (${key}; the private half stays on this machine).`,
      `On the Pi, with Raspberry Pi OS on an SD card and a boot loader of 2022-03-10 or newer: copy netboot.pem to it, and save the settings as boot.conf (here: netboot firmware-config ${node.name} --http > boot.conf).`,
      `There: rpi-eeprom-config -c boot.conf -p netboot.pem -o pieeprom.bin "$(ls ${firmware} | tail -n 1)"${which}`,
      'There: sudo rpi-eeprom-update -d -f pieeprom.bin && sudo reboot',
      `Take the SD card out. Without one, it asks for http://${server}:${httpPort}/${node.serial}/boot.sig and boot.img.`,
      ...(isLarge
        ? [
            `Note: the boot tree has ${Math.ceil(bootTreeBytes / 2 ** 20)} MB, and a Pi takes a boot.img of 96 MB. Leave some of it out of the image.`,
          ]
        : []),
    ],
  };
}

function withoutEeprom(boot: 'http' | 'tftp'): string[] {
  return [
    ...(boot === 'http' ? ['It cannot boot over HTTP: a Pi 3 or older has no EEPROM. By TFTP it can.'] : []),
    'A Pi 3B+ needs nothing: without an SD card it boots from the network.',
    'A Pi 3B or 2B v1.2: put program_usb_boot_mode=1 into config.txt of any SD card, boot it once, and take the card out. Or leave an SD card in it with nothing but bootcode.bin.',
    'A Pi 1, 2B or Zero: an SD card with nothing but bootcode.bin.',
  ];
}
