import { z } from 'zod';
import type { BootView } from '../model/boot-view.ts';
import { Refusal } from '../model/command.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Instant } from '../model/lease.ts';
import type { Log } from '../model/log.ts';
import type { Node } from '../model/node.ts';
import type { NodeState } from '../model/node-state.ts';
import { privateExportPath, settleRoot } from '../model/root-mode.ts';
import { bytesOfSize } from '../model/size.ts';
import { matchSerial, type Serial } from '../net/serial.ts';
import type { PrivateArea } from '../nfs/desired.ts';
import type { Disk } from '../nfs/export.ts';
import type { Addresses } from './addresses.ts';
import { coalesce } from './coalesce.ts';
import type { Store } from './store.ts';

const PREFIX = 'private/';
/** So that a rack that is switched on, or changed by a script, does not have its exports applied for each node. */
const APPLY_DELAY_MS = 50;
/** After the first file of a boot: no kernel, not even a virtual machine's, has mounted anything by then. */
const GROW_MS = 2000;
/** A machine that fetches little, as some virtual ones do, has its kernel before the exports are applied. */
const BEFORE_ROOT: readonly NodeState[] = ['asked', 'loading', 'kernel'];

const documentSchema = z.object({
  /** Milliseconds since 1970: when it was last asked to make its disks anew; 0 when never. */
  epoch: z.number(),
});

export interface PrivateAreasPorts {
  readonly store: Store;
  readonly view: () => BootView;
  readonly addresses: Addresses;
  /** What the node may be running, or boot next. */
  readonly generationsOf: (node: Node) => readonly StoredGeneration[];
  /** How far the node is, where that is followed. */
  readonly stateOf?: ((serial: Serial) => NodeState) | undefined;
  /** Whether its system may run, whatever is fetched in its name. */
  readonly mayRun?: ((serial: Serial) => boolean) | undefined;
  /** Brings the exports to what is wanted now; resolves when that is done. */
  readonly applyExports: () => Promise<void>;
  /** Why this path is not served. */
  readonly problemOf: (path: string) => string | undefined;
  readonly log: Log;
  readonly now?: () => Instant;
}

/**
 * The nodes that have a folder of their own on the appliance, with the disks in it. Who once had one keeps it, whatever
 * root it boots with: what is in it is the node's.
 */
export class PrivateAreas {
  readonly #ports: PrivateAreasPorts;
  readonly #now: () => Instant;
  readonly #epochs = new Map<Serial, number>();
  /** Those whose disks are being made anew, while somebody waits for it. */
  readonly #resetting = new Set<Serial>();
  readonly #begunAt = new Map<Serial, Instant>();
  readonly #applySoon: () => void;

  constructor(ports: PrivateAreasPorts) {
    this.#ports = ports;
    this.#now = ports.now ?? Date.now;
    for (const { key, value } of ports.store.list(PREFIX)) {
      const serial = matchSerial(key.slice(PREFIX.length));
      if (serial) this.#epochs.set(serial, documentSchema.parse(value).epoch);
    }
    const apply = async () => {
      // Where no node ever had anything of its own, no export follows from the nodes.
      if (this.#epochs.size > 0 || this.all().length > 0) await ports.applyExports();
    };
    this.#applySoon = coalesce(APPLY_DELAY_MS, apply, (error) =>
      ports.log.error({ id: 'EXPORTS_NOT_APPLIED', err: error }, 'the exports could not be applied'),
    );
    // A channel, because the image may say what its nodes have for a root.
    for (const kind of ['node/', 'profile/', 'assignment/', 'channel/'])
      ports.store.watch(kind, this.#applySoon);
    ports.addresses.onMoved((serial) => {
      if (this.#epochs.has(serial)) this.#applySoon();
    });
  }

  /** Of all nodes, to be exported. */
  all(): PrivateArea[] {
    return [...this.#ports.view().nodes.values()].flatMap((node) => this.#areaOf(node) ?? []);
  }

  /** The folder that is the node's, and stays when the node is removed; `undefined` when it never had one. */
  folderOf({ serial }: Pick<Node, 'serial'>): string | undefined {
    return this.#epochs.has(serial) ? privateExportPath(this.#ports.view().exportsFolder, serial) : undefined;
  }

  /** A boot of the node began with a file: its disks might grow now. */
  begun(serial: Serial): void {
    if (!this.#epochs.has(serial)) return;
    this.#begunAt.set(serial, this.#now());
    this.#applySoon();
  }

  /**
   * Makes the node's disks anew, and deletes the old ones. What cannot be done now is not done later, when the node
   * may run: the epoch is asked for only while somebody waits. It is stored before, so that the next one is later still.
   * @throws Refusal when it has none, or its system may be running and `force` is not given, or they cannot be made.
   */
  async reset(node: Node, { force = false } = {}): Promise<{ path: string; disks: readonly string[] }> {
    const { store, applyExports, problemOf } = this.#ports;
    const area = this.#areaOf(node);
    if (!area || area.disks.length === 0) {
      throw new Refusal(
        `Node ${node.name} has no disk of its own`,
        `Give it one: netboot set-node ${node.serial} --root private`,
      );
    }
    if (!force) this.checkIdle(node, 'reset-private');
    const epoch = Math.max(this.#now(), (this.#epochs.get(node.serial) ?? 0) + 1);
    await store.transact({ writes: [{ kind: 'put', key: `${PREFIX}${node.serial}`, value: { epoch } }] });
    this.#epochs.set(node.serial, epoch);
    const path = privateExportPath(this.#ports.view().exportsFolder, node.serial);
    this.#resetting.add(node.serial);
    try {
      await applyExports();
      const problem = problemOf(path);
      if (problem !== undefined)
        throw new Refusal(
          `The disk of node ${node.name} could not be made anew: ${problem}`,
          `Mend that, and ask again: netboot reset-private ${node.serial}`,
        );
    } finally {
      this.#resetting.delete(node.serial);
      // Whoever applies the exports is not to find the epoch there when he is back.
      this.#applySoon();
    }
    return { path, disks: area.disks.map(({ name }) => name) };
  }

  /** @throws Refusal when the node has disks of its own, and its system, which `command` would take them from, may be running. */
  checkIdle(node: Node, command: 'reset-private' | 'remove-node'): void {
    const state = this.#ports.stateOf?.(node.serial);
    if (state === undefined || state === 'off' || state === 'silent' || this.#disksOf(node).length === 0)
      return;
    throw new Refusal(
      `Node ${node.name} may be writing to its disk (${state})`,
      `Shut it down first, or take the disk away under it: netboot ${command} ${node.serial} --force`,
    );
  }

  #areaOf(node: Node): PrivateArea | undefined {
    const disks = this.#disksOf(node);
    if (!this.#epochs.has(node.serial)) {
      if (disks.length === 0) return undefined;
      this.#remember(node.serial);
    }
    const growUntil = this.#growUntil(node.serial);
    return {
      serial: node.serial,
      address: this.#ports.addresses.addressOf(node),
      disks,
      epoch: this.#resetting.has(node.serial) ? (this.#epochs.get(node.serial) ?? 0) : 0,
      ...(growUntil === undefined ? {} : { growUntil }),
    };
  }

  #disksOf(node: Node): Disk[] {
    const settled = this.#ports.generationsOf(node).map((generation) => settleRoot(node, generation.node));
    const root = [...settled, settleRoot(node, undefined)].find((each) => each.root === 'private');
    return [
      ...(root ? [{ name: 'root.ext4' as const, bytes: bytesOfSize(root.disk) }] : []),
      ...(node.block ? [{ name: 'block.ext4' as const, bytes: bytesOfSize(node.block.size) }] : []),
    ];
  }

  /** Who has fetched a file from the node's own address has begun its boot, unless it is a program of the node itself. */
  #growUntil(serial: Serial): Instant | undefined {
    const begunAt = this.#begunAt.get(serial);
    const state = this.#ports.stateOf?.(serial) ?? 'loading';
    if (begunAt === undefined || !BEFORE_ROOT.includes(state)) return undefined;
    if (this.#ports.mayRun?.(serial)) return undefined;
    const seenAt = this.#ports.addresses.seenAt(serial);
    const until = begunAt + GROW_MS;
    if (this.#now() < until) return seenAt !== undefined && seenAt >= begunAt ? until : undefined;
    this.#begunAt.delete(serial);
    return undefined;
  }

  /** Nobody waits: until it is stored, the node's settings say the same. */
  #remember(serial: Serial): void {
    this.#epochs.set(serial, 0);
    const write = { kind: 'put' as const, key: `${PREFIX}${serial}`, value: { epoch: 0 } };
    this.#ports.store.transact({ writes: [write] }).catch(() => this.#epochs.delete(serial));
  }
}
