/**
 * A kernel module as depmod sees one: an ELF object (64 bit, little endian, AArch64) with the sections `.modinfo`,
 * `__ksymtab_strings` (names it exports) and a symbol table (names it needs).
 */
export function tinyModule(module: {
  readonly exports?: readonly string[];
  readonly needs?: readonly string[];
  readonly info?: Readonly<Record<string, string>>;
}): Buffer {
  const { exports = [], needs = [], info = {} } = module;
  const strings = (texts: readonly string[]) =>
    Buffer.from(texts.map((text) => `${text}\0`).join(''), 'latin1');
  const names = strings(['', ...needs]);
  const symbols = Buffer.alloc(24 * (needs.length + 1));
  let nameAt = 1;
  for (const [index, name] of needs.entries()) {
    symbols.writeUInt32LE(nameAt, 24 * (index + 1));
    symbols.writeUInt8(0x10, 24 * (index + 1) + 4); // a global one, of section 0: undefined
    nameAt += name.length + 1;
  }
  const modinfo = strings(
    Object.entries({ license: 'GPL', ...info }).map(([key, value]) => `${key}=${value}`),
  );
  const sections: ReadonlyArray<[name: string, type: number, content: Buffer, link: number, entry: number]> =
    [
      ['', 0, Buffer.alloc(0), 0, 0],
      ['.modinfo', 1, modinfo, 0, 0],
      ['__ksymtab_strings', 1, strings(exports), 0, 0],
      ['.symtab', 2, symbols, 4, 24],
      ['.strtab', 3, names, 0, 0],
    ];
  const sectionNames = strings([...sections.map(([name]) => name), '.shstrtab']);
  const all = [...sections, ['.shstrtab', 3, sectionNames, 0, 0] as (typeof sections)[number]];

  const header = Buffer.alloc(64);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(header);
  header.writeUInt16LE(1, 16); // relocatable
  header.writeUInt16LE(183, 18); // AArch64
  header.writeUInt32LE(1, 20);
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(64, 58);
  header.writeUInt16LE(all.length, 60);
  header.writeUInt16LE(all.length - 1, 62);

  const parts: Buffer[] = [header];
  const table = Buffer.alloc(64 * all.length);
  let offset = 64;
  let name = 0;
  for (const [index, [title, type, content, link, entry]] of all.entries()) {
    const at = 64 * index;
    table.writeUInt32LE(name, at);
    table.writeUInt32LE(type, at + 4);
    table.writeBigUInt64LE(BigInt(offset), at + 24);
    table.writeBigUInt64LE(BigInt(content.length), at + 32);
    table.writeUInt32LE(link, at + 40);
    table.writeBigUInt64LE(8n, at + 48);
    table.writeBigUInt64LE(BigInt(entry), at + 56);
    const padded = Buffer.alloc(Math.ceil(content.length / 8) * 8);
    content.copy(padded);
    parts.push(padded);
    offset += padded.length;
    name += title.length + 1;
  }
  header.writeBigUInt64LE(BigInt(offset), 40);
  return Buffer.concat([...parts, table]);
}
