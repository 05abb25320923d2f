import { gunzipSync, gzipSync } from 'node:zlib';

/** One entry of a sealed root. */
export interface ListedFile {
  /** Relative to the root. */
  readonly path: string;
  /** As find(1) says: `f`ile, `d`irectory, `l`ink, `c`haracter or `b`lock device, `p`ipe, `s`ocket. */
  readonly type: string;
  /** Permission bits in octal, as `4755`. */
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  /** Of a regular file, in bytes. */
  readonly size?: number;
  readonly sha256?: string;
  /** Of a link. */
  readonly target?: string;
}

/** The name of the listing in a generation: gzip, one JSON object a line, by path. */
export const LISTING = 'files.jsonl.gz';

/** Joins what steps/listing.sh left: `files.0` and `hashes.0`. @throws Error when they do not fit together. */
export function parseListing(files: string, hashes: string): ListedFile[] {
  const sums = new Map(hashes.split('\0').map((record) => [record.slice(66), record.slice(0, 64)]));
  const halves = files.split('\0');
  const listed: ListedFile[] = [];
  for (let index = 0; index + 1 < halves.length; index += 2) {
    const [head = '', path = ''] = [halves[index], halves[index + 1]];
    const match = /^(\w) (\d+) (\d+) (\d+) (\d+) (.*)$/s.exec(head);
    if (!match) throw new Error(`the listing of the root is broken at "${path}"`);
    const [, type = '', mode = '', uid, gid, size, target = ''] = match;
    const entry = { path, type, mode, uid: Number(uid), gid: Number(gid) };
    const sha256 = sums.get(path);
    if (type === 'f' && sha256 === undefined) throw new Error(`nobody hashed "${path}"`);
    if (type === 'f' && sha256 !== undefined) listed.push({ ...entry, size: Number(size), sha256 });
    else listed.push(type === 'l' ? { ...entry, target } : entry);
  }
  return listed.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The same bytes for the same entries. */
export function packListing(files: readonly ListedFile[]): Buffer {
  return gzipSync(files.map((file) => `${JSON.stringify(file)}\n`).join(''), { level: 6 });
}

export function unpackListing(packed: Uint8Array): ListedFile[] {
  const lines = gunzipSync(packed).toString().split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as ListedFile);
}
