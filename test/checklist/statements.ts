/** One thing a server for diskless Pis has to do, in short; the numbers are those of the protocol reference. */
export interface Statement {
  readonly number: number;
  readonly weight: 'must' | 'should';
  readonly says: string;
  /** What no test without the hardware can show, where there is such a thing. */
  readonly leftToHardware?: string;
  /** How it is to be understood here. */
  readonly note?: string;
}

const must = (number: number, says: string): Statement => ({ number, weight: 'must', says });
const should = (number: number, says: string): Statement => ({ number, weight: 'should', says });

export interface Chapter {
  readonly title: string;
  readonly statements: readonly Statement[];
}

export const CHAPTERS: readonly Chapter[] = [
  {
    title: 'DHCP: what is read',
    statements: [
      must(1, 'Takes requests with UDP checksum 0, secs 0, no option 57 or 61, of 320 or 322 bytes.'),
      must(2, 'Tells exchanges apart by MAC and xid: every Pi 3 sends the same xid.'),
      must(3, 'Reads option 97 in all its forms: 0x44, serial four times, RPi4/4iPR/RPi5/5iPR.'),
      must(4, 'Takes architecture 0 with a Pi’s MAC or machine id for a Pi, not for a PC.'),
      must(5, 'Never gives a Pi’s firmware a PC’s boot program or an iPXE menu.'),
      must(6, 'Takes one MAC with other options 60, 77 or 97 for another stage of the boot.'),
      should(7, 'The list of makers’ MAC prefixes can be configured and is only a hint.'),
      must(8, 'Stands padding, overloaded fields and a relay’s option 82, which it echoes.'),
    ],
  },
  {
    title: 'DHCP: what is answered',
    statements: [
      must(9, 'A reply that boots a Pi has options 53, 54, 60 “PXEClient”, 97 as sent, and 43.'),
      must(10, 'Option 43 has sub-options 6, 10, 9 and END; its text starts “Raspberry Pi Boot”.'),
      must(11, 'The 3B’s ROM gets the text padded to 20 characters; so does everybody.'),
      must(12, 'Option 43 equals the captured bytes.'),
      must(13, 'As the DHCP server: siaddr and option 66, a dotted quad, name the TFTP server.'),
      must(14, 'As a proxy: the reply’s source address is the one that serves TFTP there.'),
      must(15, 'The proxy’s OFFER has yiaddr 0 and no options 51, 1, 3 or 6.'),
      must(16, 'The proxy says nothing to clients that do not ask to boot.'),
      must(17, 'The proxy answers Pis on port 67 alone, and serves port 4011 for UEFI.'),
      must(18, 'A Pi 3 is answered by broadcast, and so is whoever has no address yet.'),
      should(19, 'The 3B’s ROM is answered after 1 to 2 s, which can be set; a Pi 4 or 5 within 4 s.'),
      must(20, 'An offered address stays reserved for a whole boot, REQUEST or not.'),
      must(21, 'All stages of one MAC get one address, whatever their client identifiers.'),
      must(22, 'Takes a REQUEST without options 60 and 55; the ACK has 1, 3, 51 and 54.'),
      must(23, 'Leaves alone a REQUEST that names another server.'),
      must(24, 'Does not count on option 67 or file for Pis.'),
      should(25, 'Sends a broadcast nudge after its reply to a Pi 3.'),
      should(26, 'Looks for another DHCP server before it becomes one.'),
      should(27, 'Warns of spanning tree frames on the segment.'),
      must(28, 'Each interface answers with its own 54, siaddr and 66.'),
    ],
  },
  {
    title: 'TFTP',
    statements: [
      must(29, 'Without options the answer is DATA 1 with 512 bytes.'),
      must(30, 'Answers tsize with the real size, with or without blksize.'),
      must(31, 'Keeps to blksize up to 1468, never above what was asked or what the MTU carries.'),
      must(32, 'Answers no option that was not asked, and passes over unknown ones.'),
      must(33, 'A missing file is ERROR 1 within 50 ms, never silence.'),
      must(34, 'ERROR 0 “Early terminate” is a normal end; nothing is sent after it.'),
      must(35, 'Serves four and more requests for one file by one client at once.'),
      must(36, 'The same request from the same port starts anew, cleanly.'),
      must(37, 'Never sends DATA again for a duplicate ACK.'),
      must(
        38,
        'Sends again when time is up, five times and more; a full last block is followed by an empty one.',
      ),
      must(39, 'After block 65535 comes 0; warns where the firmware cannot count that far.'),
      must(40, 'Takes //, a leading / and \\; refuses .., NUL and every way out of the tree.'),
      must(41, 'A serial, a MAC or an own prefix, or none with a known address, leads to the client’s tree.'),
      must(42, 'A prefix holds for all files of a boot or for none.'),
      must(43, 'Serves bootcode.bin without a prefix, and bootsig.bin is missing.'),
      must(44, 'Makes up no recovery.elf, autoboot.txt, dt-blob.bin, armstub or the like.'),
      must(45, 'What firmware probes for in vain raises no alarm.'),
      must(46, 'Every file arrives within the firmware’s 30 s.'),
      must(47, 'Write requests are refused.'),
      {
        ...should(48, 'Keeps a fixed neighbour entry for a Pi 3 while it transfers.'),
        leftToHardware: 'whether it helps is seen only on a 3B, which answers no ARP while it loads',
      },
      should(49, 'Generated files are the same bytes each time they are read in one boot.'),
    ],
  },
  {
    title: 'What is booted',
    statements: [
      must(50, 'cmdline.txt is one line: NFS root, ip=dhcp, nothing of a disk.'),
      must(51, 'With an automatic initramfs, nfsroot names neither proto nor version 4.'),
      must(
        52,
        'An image has no disk in fstab, no swap, no first boot; keys and machine id are each node’s own.',
      ),
      must(53, 'An image keeps hard links, owners, device nodes and what file capabilities did.'),
      must(54, 'The boot tree can be read by the TFTP service after a Pi’s own updates.'),
      must(55, 'Shared boot trees do not update EEPROMs by accident; the time in a .sig only grows.'),
      {
        ...must(56, 'A writable export is for its owner alone; shared roots are read-only.'),
        note: 'no node has a root to write to; the web content is one folder for all, and writable as S1-6 wants it',
      },
    ],
  },
  {
    title: 'HTTP',
    statements: [
      must(57, 'boot.sig and boot.img: 200, Content-Length, no redirect, HTTP/1.1.'),
      should(58, 'Ranges and several slow clients at once; the firmware’s User-Agent is logged.'),
      must(59, 'boot.sig has hash, time and RSA signature, which the published key verifies.'),
    ],
  },
  {
    title: 'Second stages',
    statements: [
      must(60, 'EDK2 gets a boot file and siaddr and no Pi menu; an HTTPClient gets its option 60 back.'),
      must(61, 'iPXE gets a script and never iPXE again.'),
      must(62, 'U-Boot gets siaddr and file, and its pxelinux.cfg names are found.'),
      must(63, 'Simulated boots of every firmware, EDK2 among them, reach their kernel.'),
    ],
  },
];

export const STATEMENTS: readonly Statement[] = CHAPTERS.flatMap(({ statements }) => statements);
