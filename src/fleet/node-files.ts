import { createHash } from 'node:crypto';
import { Refusal } from '../model/command.ts';
import type { OwnNode } from '../model/node.ts';
import { type NodeFile, nodeFileSchema } from '../model/node-file.ts';
import type { Origin } from './resolve.ts';
import type { Store, Write } from './store.ts';

const MOST_BYTES = 1024 * 1024;
const MOST_FILES = 100;

/** Whose file it is: a node's by its serial number, a profile's by its name. */
export interface FileOwner {
  readonly kind: 'node' | 'profile';
  readonly name: string;
}

/** By path; `null` takes a file away. */
export type FileChanges = Readonly<Record<string, Omit<NodeFile, 'path'> | null>>;

/** What may be told of a file: its content is nobody's but the node's. */
export interface FileFacts {
  readonly path: string;
  readonly mode: string;
  readonly owner: string;
  readonly group: string;
  readonly bytes: number;
  readonly sha256: string;
}

type FactsByPath = ReadonlyMap<string, FileFacts>;
type Reader = Pick<OwnNode, 'serial' | 'name' | 'profile'>;

const prefixOf = ({ kind, name }: FileOwner): string => `file/${kind}/${name}`;

/** The files that nodes and profiles have, and no image holds. They are in the store; in memory is what may be told of them. */
export class NodeFiles {
  readonly #store: Store;
  /** Filled as it is asked for. */
  readonly #facts = new Map<string, FactsByPath>();

  constructor(store: Store) {
    this.#store = store;
    store.watch('file/', (writes) => {
      for (const { key } of writes) this.#facts.delete(key.split('/', 3).join('/'));
    });
  }

  /** With their contents, for the node alone: its own over its profile's. */
  filesOf({ serial, profile }: Pick<Reader, 'serial' | 'profile'>): NodeFile[] {
    const owners: FileOwner[] = [{ kind: 'node', name: serial }];
    if (profile !== undefined) owners.unshift({ kind: 'profile', name: profile });
    const files = owners.flatMap((owner) => this.#read(owner));
    return byPath(new Map(files.map((file) => [file.path, file])).values());
  }

  /** What a node gets, and from whom. */
  factsOf(reader: Pick<Reader, 'serial' | 'profile'>): (FileFacts & { readonly origin: Origin })[] {
    const { serial, profile } = reader;
    const own = [...this.ofOwner({ kind: 'node', name: serial })].map((facts) => ({
      ...facts,
      origin: 'node' as const,
    }));
    const shared = profile === undefined ? [] : this.ofOwner({ kind: 'profile', name: profile });
    const all = [...shared.map((facts) => ({ ...facts, origin: `profile ${profile}` as const })), ...own];
    return byPath(new Map(all.map((facts) => [facts.path, facts])).values());
  }

  ofOwner(owner: FileOwner): FileFacts[] {
    return byPath(this.#factsByPath(owner).values());
  }

  /**
   * What is to be written.
   * @param readers the nodes that get them.
   * @throws Refusal when one of these would have too much, or a file where another needs a folder.
   */
  change(owner: FileOwner, changes: FileChanges, readers: readonly Reader[]): Write[] {
    const after = new Map(this.#factsByPath(owner));
    const whose = owner.kind === 'node' ? `node ${readers[0]?.name}` : `profile ${owner.name}`;
    const writes: Write[] = [];
    for (const [path, given] of Object.entries(changes)) {
      const key = `${prefixOf(owner)}${path}`;
      if (given === null) {
        if (!after.delete(path))
          throw new Refusal(
            `There is no file ${path} of ${whose}`,
            remedyOfMissing(path, owner, after, this.#profileHas(path, readers[0])),
          );
        writes.push({ kind: 'delete', key });
      } else {
        const file = nodeFileSchema.parse({ ...given, path });
        after.set(path, factsOf(file));
        writes.push({ kind: 'put', key, value: file });
      }
    }
    if (owner.kind === 'profile') check(whose, after);
    for (const { serial, name, profile } of readers) {
      const mine = owner.kind === 'node' ? after : this.#factsByPath({ kind: 'node', name: serial });
      const shared = owner.kind === 'profile' ? after : this.#profileFacts(profile);
      if (mine.size > 0) check(`node ${name}`, new Map([...shared, ...mine]));
    }
    return writes;
  }

  /** What takes all of them away. */
  removal(owner: FileOwner): Write[] {
    return this.ofOwner(owner).map(({ path }) => ({ kind: 'delete', key: `${prefixOf(owner)}${path}` }));
  }

  #profileHas(path: string, reader: Reader | undefined): string | undefined {
    return this.#profileFacts(reader?.profile).has(path) ? reader?.profile : undefined;
  }

  #profileFacts(profile: string | undefined): FactsByPath {
    return profile === undefined ? new Map() : this.#factsByPath({ kind: 'profile', name: profile });
  }

  #factsByPath(owner: FileOwner): FactsByPath {
    const prefix = prefixOf(owner);
    let facts = this.#facts.get(prefix);
    if (!facts) {
      facts = new Map(this.#read(owner).map((file) => [file.path, factsOf(file)]));
      this.#facts.set(prefix, facts);
    }
    return facts;
  }

  #read(owner: FileOwner): NodeFile[] {
    return this.#store.list(`${prefixOf(owner)}/`).map(({ value }) => nodeFileSchema.parse(value));
  }
}

function factsOf({ content, ...rest }: NodeFile): FileFacts {
  const bytes = Buffer.from(content, 'base64');
  return { ...rest, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

function check(whose: string, files: FactsByPath): void {
  const bytes = [...files.values()].reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > MOST_BYTES || files.size > MOST_FILES) {
    throw new Refusal(
      `The files of ${whose} would be ${files.size} with ${bytes} bytes; a node may have ${MOST_FILES} with ${MOST_BYTES}`,
      'Put what all nodes have into the image, and take files away with --file PATH=',
    );
  }
  for (const path of files.keys()) {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const folder = path.slice(0, at);
      if (!files.has(folder)) continue;
      throw new Refusal(
        `The files ${folder} and ${path} of ${whose} cannot be there both`,
        `Take one away first: --file ${folder}=`,
      );
    }
  }
}

function remedyOfMissing(
  path: string,
  owner: FileOwner,
  files: FactsByPath,
  profile: string | undefined,
): string {
  if (owner.kind === 'node' && profile !== undefined)
    return `It is profile ${profile}'s: netboot set-profile ${profile} --file ${path}=`;
  if (files.size > 0) return `It has: ${[...files.keys()].join(', ')}.`;
  return `See "netboot show-${owner.kind} ${owner.name}".`;
}

function byPath<T extends { readonly path: string }>(files: Iterable<T>): T[] {
  return [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
}
