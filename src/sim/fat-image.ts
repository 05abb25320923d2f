/** A file of a FAT32 image, by what its directory says. */
interface Entry {
  readonly isFolder: boolean;
  readonly start: number;
  readonly size: number;
}

const END_OF_CHAIN = 0x0fff_fff8;
const ENTRY_BYTES = 32;

/**
 * Reads the FAT32 file system of a boot.img as the boot loader does: no partition table ("the recommended format is a
 * plain FAT32 partition with no MBR", config_txt/boot.adoc), names without regard to case.
 */
export class FatImage {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #clusterBytes: number;
  readonly #fatAt: number;
  readonly #dataAt: number;
  readonly #root: Entry;

  /** @throws Error when it is no FAT32 file system. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const sectorBytes = bytes.length >= 512 ? this.#view.getUint16(11, true) : 0;
    const fatSectors = bytes.length >= 512 ? this.#view.getUint32(36, true) : 0;
    const sectors = bytes.length >= 512 ? this.#view.getUint32(32, true) : 0;
    if (this.#view.byteLength < 512 || this.#view.getUint16(510, true) !== 0xaa55 || fatSectors === 0)
      throw new Error('it is no FAT32 file system');
    if (sectors * sectorBytes > bytes.length) throw new Error('it is shorter than its file system');
    this.#clusterBytes = sectorBytes * (bytes[13] as number);
    this.#fatAt = this.#view.getUint16(14, true) * sectorBytes;
    this.#dataAt = this.#fatAt + fatSectors * (bytes[16] as number) * sectorBytes;
    this.#root = { isFolder: true, start: this.#view.getUint32(44, true), size: 0 };
  }

  /** @returns `undefined` when there is no such file. */
  read(path: string): Uint8Array | undefined {
    let entry = this.#root;
    for (const name of path.split('/').filter((segment) => segment !== '')) {
      const found = entry.isFolder ? this.#entries(entry).get(name.toLowerCase()) : undefined;
      if (!found) return undefined;
      entry = found;
    }
    return entry.isFolder ? undefined : this.#content(entry.start).subarray(0, entry.size);
  }

  #content(start: number): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let cluster = start; cluster >= 2 && cluster < END_OF_CHAIN; ) {
      const at = this.#dataAt + (cluster - 2) * this.#clusterBytes;
      parts.push(this.#bytes.subarray(at, at + this.#clusterBytes));
      if (parts.length * this.#clusterBytes > this.#bytes.length)
        throw new Error('a chain of its FAT has no end');
      cluster = this.#view.getUint32(this.#fatAt + cluster * 4, true) & 0x0fff_ffff;
    }
    return Buffer.concat(parts);
  }

  #entries(folder: Entry): ReadonlyMap<string, Entry> {
    const bytes = this.#content(folder.start);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const entries = new Map<string, Entry>();
    let long = '';
    for (let at = 0; at + ENTRY_BYTES <= bytes.length && bytes[at] !== 0; at += ENTRY_BYTES) {
      const attributes = bytes[at + 11] as number;
      if (attributes === 0x0f) {
        const part = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30].map((slot) =>
          view.getUint16(at + slot, true),
        );
        long =
          String.fromCharCode(...part.slice(0, part.indexOf(0) < 0 ? undefined : part.indexOf(0))) + long;
        continue;
      }
      const short = Buffer.from(bytes.subarray(at, at + 11)).toString('latin1');
      const [stem, extension] = [short.slice(0, 8).trimEnd(), short.slice(8).trimEnd()];
      const name = long || (extension ? `${stem}.${extension}` : stem);
      long = '';
      if ((attributes & 0x08) !== 0 || bytes[at] === 0xe5) continue;
      entries.set(name.toLowerCase(), {
        isFolder: (attributes & 0x10) !== 0,
        start: (view.getUint16(at + 20, true) << 16) | view.getUint16(at + 26, true),
        size: view.getUint32(at + 28, true),
      });
    }
    return entries;
  }
}
