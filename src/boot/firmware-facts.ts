/** H: the vendor's document, release note, source code or a capture; M: several reports; L: one report or a guess. */
export type Confidence = 'H' | 'M' | 'L';

/** Something known of a firmware, and where from: nobody had the boards, so a doubt goes back to the source. */
export interface Fact<Value = string> {
  readonly value: Value;
  readonly source: string;
  readonly confidence: Confidence;
}

/** The Pi firmwares that differ in DHCP. `pi3` is bootcode.bin or the 3B+ ROM, on any of Pi 1 to 3. */
export type PiModel = 'pi3-rom' | 'pi3' | 'pi4' | 'pi5';

/** How a program speaks DHCP, what it needs of an answer and what it forbids. */
export interface DhcpHabits {
  /** Options 60, 93, 77 and 55 as it sends them. */
  readonly vendorClass?: Fact;
  readonly arch?: Fact<number>;
  readonly userClass?: Fact;
  readonly parameters: Fact<readonly number[]>;
  /** The form of option 97: the same bytes on every board, the serial four times, magic and board, a UUID. */
  readonly machineId?: Fact<'constant' | 'serial' | 'board' | 'uuid'>;
  /** UDP checksum 0: a receiver that insists on one hears nothing. */
  readonly noChecksum?: Fact<true>;
  /** Where the transaction id is the same on every board. */
  readonly xid?: Fact<number>;
  /** Whether a DHCPREQUEST follows the offer. Without one the offer alone is the lease. */
  readonly confirms: Fact<boolean>;
  /** Milliseconds between two tries: an answer that is later than this meets the next try. */
  readonly resendMs: Fact<number>;
  /** Milliseconds after which it gives up: the mask ROM for good, the others start over. */
  readonly giveUpMs?: Fact<number>;
  /** How long an answer has to be held back; after a proxy's, the address of the other server comes first. */
  readonly delayMs?: Fact<{ readonly full: number; readonly proxy: number }>;
  /** An answer by unicast may not reach it. */
  readonly needsBroadcast?: Fact<true>;
  /** A received frame may be held back until another one arrives. */
  readonly holdsFrames?: Fact<true>;
  /** What option 43 has to hold; without it nothing of ours is used. */
  readonly bootText?: Fact;
  /** Where it learns the TFTP server's address from, the one it believes most first. */
  readonly tftpServer?: Fact<ReadonlyArray<'option 66' | 'siaddr' | 'packet source'>>;
  /** The name of its boot file has to be in `file`; every other program ignores that. */
  readonly needsFile?: Fact<true>;
  /** It asks the boot server at port 4011. */
  readonly asks4011?: Fact<true>;
  /** Option 43 with the Pi's menu would trap it. */
  readonly forbidsMenu?: Fact<true>;
}

/** How a program speaks TFTP. */
export interface TftpHabits {
  readonly options: Fact<ReadonlyArray<'tsize' | 'blksize' | 'timeout' | 'windowsize'>>;
  /** By the date of the release that brought it, the oldest first; '' where there is one only. */
  readonly blockSizes: ReadonlyArray<Fact<number> & { readonly since: string }>;
  /** The release that counts on past block 65535; absent: none does. */
  readonly rollsOverSince?: Fact;
  /** Its own ports: many transfers come from one board, and RRQs that are repeated from one port. */
  readonly ports?: Fact;
  /** Milliseconds it gives one file. */
  readonly fileTimeoutMs?: Fact<number>;
}

/** A way in which it fails, and what a server does about that. */
export interface Breakage extends Fact {
  readonly remedy: string;
  /** The release that mended it. */
  readonly until?: string;
}

/** One program of a boot, as the wire sees it. */
export interface Firmware {
  readonly id: string;
  /** For a person. */
  readonly name: string;
  readonly boards: string;
  readonly dhcp?: DhcpHabits;
  readonly tftp?: TftpHabits;
  /** What it asks for, in this order, `*` standing for the rest of a name. */
  readonly files?: Fact<readonly string[]>;
  /** Files that a working boot asks for and does not find. */
  readonly expectedMisses?: Fact<readonly string[]>;
  readonly breakages: readonly Breakage[];
}

/** A program that asks for an address itself. */
export type DhcpFirmware = Firmware & { readonly dhcp: DhcpHabits };

/** A fact: how sure, where from, what. */
export const fact = <Value>(confidence: Confidence, source: string, value: Value): Fact<Value> => ({
  value,
  source,
  confidence,
});
export const broken = (confidence: Confidence, source: string, value: string, remedy: string): Breakage => ({
  value,
  remedy,
  source,
  confidence,
});
