import type { Board } from './board.ts';
import type { TftpDialect } from './tftp-client.ts';

const LEGACY = {
  blksize: 512,
  // Seconds per probe, then on to the next name (raspberrypi/firmware#1292); the exact time is not known. That it is
  // silence that counts and not the whole file is inferred: kernels of 10 MB in blocks of 512 take longer on slow networks.
  timeoutMs: 5_000,
  timeoutCovers: 'silence',
  rollsOver: false,
  onSilence: 'miss',
  sendsChecksum: false,
  ttl: 128,
} as const;

/** A Pi 3's mask ROM: a bare RRQ, from port 49152 (boot-net.adoc). */
export const ROM: TftpDialect = { ...LEGACY, stage: 'ROM', asks: [], needsOack: false, firstPort: 49_152 };

/** A Pi 3's bootcode.bin and start.elf ask for the size only. */
export function legacyDialect(stage: 'bootcode.bin' | 'start.elf'): TftpDialect {
  const isStart = stage === 'start.elf';
  return { ...LEGACY, stage, asks: ['tsize'], needsOack: isStart, firstPort: isStart ? 49_200 : 49_153 };
}

/**
 * The EEPROM boot loader and start4.elf. Blocks of 1468 bytes since 2022-11-25, 1024 before; counting past block
 * 65535 since 2025-09-23 (release notes of both boot loaders). TFTP_FILE_TIMEOUT has its default. start4.elf is
 * fetched, so its age is not that of the EEPROM: it is taken to be current, but without the long count.
 */
export function eepromDialect(board: Board, stage: 'EEPROM' | 'start4.elf' | 'OS loader'): TftpDialect {
  const isStart4 = stage === 'start4.elf';
  return {
    stage,
    asks: ['tsize', 'blksize'],
    blksize: isStart4 || board.eepromDate >= '2022-11-25' ? 1468 : 1024,
    timeoutMs: 30_000,
    timeoutCovers: 'file',
    rollsOver: !isStart4 && board.eepromDate >= '2025-09-23',
    needsOack: false,
    onSilence: 'fail',
    firstPort: { EEPROM: 40_000, 'start4.elf': 41_000, 'OS loader': 42_000 }[stage],
    sendsChecksum: true,
    ttl: 64,
  };
}
