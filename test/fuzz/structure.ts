import type { Random } from './random.ts';

// Bytes turned over at random are mostly refused at the door. These keep the door open: the structure of a message stays
// whole, lengths and ends included, and what it says changes.

/** Where options begin: after the header and the magic cookie. */
const OPTIONS = 240;

/** A DHCP message with options lost, said twice, changed, renamed, taken from another, or in another order. */
export function mutateOptions(
  message: Uint8Array,
  random: Random,
  others: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const options = readOptions(message);
  for (let changes = 1 + random.below(3); changes > 0 && options.length > 0; changes--) {
    const at = random.below(options.length);
    const [code, value] = options[at] as Option;
    switch (random.below(8)) {
      case 0:
        options.splice(at, 1);
        break;
      case 1:
        options.splice(random.below(options.length), 0, [code, value]);
        break;
      case 2:
        options[at] = [code, changed(value, random)];
        break;
      case 3:
        options[at] = [random.below(255), value];
        break;
      case 4:
        options[at] = [code, value.slice(0, random.below(value.length + 1))];
        break;
      case 5:
        options[at] = [code, Uint8Array.of(...value, ...random.bytes(random.below(32)))];
        break;
      case 6: {
        const taken = readOptions(random.pick(others));
        if (taken.length > 0) options[at] = random.pick(taken);
        break;
      }
      default:
        options.unshift(...options.splice(at));
    }
  }
  const header = Uint8Array.from(message.subarray(0, OPTIONS));
  // xid, secs, flags, the four addresses, the end of the MAC: the kind of client stays.
  if (header.length === OPTIONS && random.oneIn(2)) header[4 + random.below(30)] = random.below(256);
  const written = options.flatMap(([code, value]) => [code, value.length & 0xff, ...value.subarray(0, 255)]);
  return Uint8Array.of(...header, ...written, 255);
}

type Option = readonly [code: number, value: Uint8Array];

function readOptions(message: Uint8Array): Option[] {
  const options: Option[] = [];
  for (let at = OPTIONS; at + 1 < message.length && message[at] !== 255; ) {
    const [code, length] = [message[at] as number, message[at + 1] as number];
    if (code === 0) at++;
    else {
      options.push([code, message.subarray(at + 2, at + 2 + length)]);
      at += 2 + length;
    }
  }
  return options;
}

const WORDS = [
  ...['octet', 'netascii', 'mail', 'blksize', 'tsize', 'timeout', 'windowsize', 'rollover', 'utimeout'],
  ...[
    '0',
    '1',
    '7',
    '8',
    '512',
    '1468',
    '65464',
    '65535',
    '65536',
    '-1',
    '255',
    '256',
    '99999999999999999999',
    '',
  ],
  ...['public.bin', 'ab000004/kernel8.img', 'ab000004/', '..', '../', '/', '\\', '%00', '.', 'bootcode.bin'],
];

/** A TFTP request with texts lost, said twice, replaced or changed. */
export function mutateTexts(packet: Uint8Array, random: Random): Uint8Array {
  const texts = Buffer.from(packet.subarray(2)).toString('latin1').split('\0').slice(0, -1);
  for (let changes = 1 + random.below(3); changes > 0 && texts.length > 0; changes--) {
    const at = random.below(texts.length);
    switch (random.below(5)) {
      case 0:
        texts.splice(at, 1);
        break;
      case 1:
        texts.splice(random.below(texts.length), 0, texts[at] as string);
        break;
      case 2:
        texts.splice(at, 0, random.pick(WORDS));
        break;
      case 3:
        texts[at] = random.pick(WORDS);
        break;
      default:
        texts[at] = Buffer.from(changed(Buffer.from(texts[at] as string, 'latin1'), random)).toString(
          'latin1',
        );
    }
  }
  const opcode = random.oneIn(16) ? random.below(8) : (packet[1] ?? 1);
  return Buffer.from(
    `\0${String.fromCharCode(opcode)}${texts.map((text) => `${text}\0`).join('')}`,
    'latin1',
  );
}

function changed(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = Uint8Array.from(bytes);
  if (copy.length > 0) copy[random.below(copy.length)] = random.below(256);
  return copy;
}
