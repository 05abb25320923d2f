/**
 * The smallest arm64 kernel that tells it was started: an Image header (Linux, arch/arm64 "booting.rst"), a loop
 * that writes `text` to the first UART of QEMU's `virt` machine, and PSCI SYSTEM_OFF, SYSTEM_RESET, or a halt.
 */
export function tinyKernel(text: string, ending: 'power off' | 'reset' | 'hang'): Buffer {
  const image = Buffer.alloc(0x1000);
  const header = [
    0x14000010, // b      0x40
    0,
    0, // text_offset
    0,
    image.length, // image_size
  ];
  const code = [
    0xd2a12001, // movz   x1, #0x0900, lsl #16    PL011 at 0x09000000
    0x10000100, // adr    x0, 0x64
    0x38401402, // ldrb   w2, [x0], #1
    0x34000062, // cbz    w2, 0x58
    0xb9000022, // str    w2, [x1]
    0x17fffffd, // b      0x48
    ending === 'reset' ? 0x52800120 : 0x52800100, // movz   w0, #0x0008, or #0x0009
    0x72b08000, // movk   w0, #0x8400, lsl #16    SYSTEM_OFF, SYSTEM_RESET
    ending === 'hang' ? 0x14000000 : 0xd4000002, // b ., or hvc #0
  ];
  for (const [index, word] of header.entries()) image.writeUInt32LE(word, index * 4);
  image.write('ARM\x64', 0x38, 'latin1');
  for (const [index, word] of code.entries()) image.writeUInt32LE(word >>> 0, 0x40 + index * 4);
  image.write(`${text}\0`, 0x64, 'latin1');
  return image;
}
