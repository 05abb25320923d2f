import { type BootView, rootExportPath } from '../model/boot-view.ts';
import { Refusal } from '../model/command.ts';
import { bootTreeBytes, type GenerationCheck, type StoredGeneration } from '../model/generation.ts';
import type { Log } from '../model/log.ts';
import { oneAtATime } from '../model/one-at-a-time.ts';
import type { WarningSink } from '../model/warnings.ts';
import type { Exporter } from '../nfs/applied.ts';
import { desiredExports, type PrivateArea } from '../nfs/desired.ts';
import type { Export } from '../nfs/export.ts';
import type { Boots } from './boots.ts';
import type { Channels } from './channels.ts';
import type { EventHub } from './events.ts';
import { mayGo, retain, type Verdict } from './retention.ts';
import type { Write } from './store.ts';

export interface PublishingPorts {
  readonly channels: Channels;
  readonly boots: Boots;
  readonly log: Log;
  readonly events: EventHub;
  readonly exporter: Exporter;
  readonly readGenerations: () => Promise<{ generations: StoredGeneration[]; problems: string[] }>;
  readonly checkGeneration?: CheckGeneration | undefined;
  /** `build.keep` of the configuration. */
  readonly keep: number;
  readonly view: () => BootView;
  /** The folders that nodes have of their own. */
  readonly areas?: (() => readonly PrivateArea[]) | undefined;
  /** Generations that are needed beside those: id → by whom, in words. */
  readonly held?: (() => ReadonlyMap<string, readonly string[]>) | undefined;
  /** Makes a new view of what the channels say now. */
  readonly show: (revision: number) => void;
}

/** Compares the files with the manifest: by their sizes, or by their bytes. */
export type CheckGeneration = (
  generation: StoredGeneration,
  depth: 'sizes' | 'boot tree',
) => Promise<GenerationCheck>;

export interface Published {
  readonly revision: number;
  readonly generation: string;
  /** What the image stood for until now; absent when it stood for none or for the same. */
  readonly before?: string | undefined;
}

/** Which generations are to go: the one that is named, although it would be kept to fall back to, or all that may go. */
export interface WithdrawRequest {
  readonly generation?: string | undefined;
  /** Only those of this image that were published before. */
  readonly supersededOf?: string | undefined;
}

/** A generation that is no longer exported and that nobody can publish: to be deleted by who has the rights. */
export interface Withdrawn {
  readonly id: string;
  readonly folder: string;
  readonly bytes: number;
}

/** Which generation an image stands for, and which generations stay. Callers see to it that one follows the other. */
export class Publishing {
  readonly #ports: PublishingPorts;
  readonly #warned = new Set<string>();
  readonly #lookInTurn = oneAtATime();
  /** On its way to being published: exported already, whoever has the exports applied meanwhile. */
  #coming: StoredGeneration | undefined;

  constructor(ports: PublishingPorts) {
    this.#ports = ports;
  }

  /** Looks at the disk anew; one look after the other, so that what an earlier one saw never replaces what a later one did. */
  refresh(): Promise<void> {
    return this.#lookInTurn(async () => {
      const { generations } = await this.#ports.readGenerations();
      this.#ports.channels.know(generations);
    });
  }

  /** @throws Refusal when the generation is not as it was sealed. */
  async checkWhole(generation: StoredGeneration): Promise<void> {
    const { faults } = await this.#check(generation, 'boot tree');
    if (faults.length === 0) return;
    const others = faults.length > 1 ? `, and ${faults.length - 1} more like that` : '';
    throw new Refusal(
      `${generation.id} is damaged: ${faults[0]}${others}`,
      `It is not published. Build it anew: netboot build-image ${generation.image}`,
    );
  }

  /**
   * Moves the image's pointer: boot tree, root and command line change together, and only once the root is exported. A
   * node that has begun to boot goes on with what it began with.
   * @throws Refusal when the root cannot be exported: then nothing has changed.
   */
  async move(
    generation: StoredGeneration,
    kind: 'published' | 'rolled back',
    beside: readonly Write[] = [],
  ): Promise<Published> {
    const { channels, events, show, view } = this.#ports;
    const { image, id } = generation;
    try {
      await this.#export(generation);
      const before = view().published.get(image)?.id;
      const revision = await channels.publish(generation, beside);
      show(revision);
      if (before === id) return { revision, generation: id };
      events.tell({ kind, image, generation: id, before });
      return { revision, generation: id, before };
    } finally {
      this.#coming = undefined;
    }
  }

  /**
   * Exports a generation, and then makes a change by which nodes boot it although no image stands for it.
   * @throws Refusal when its root cannot be exported, and whatever `change` throws: then nothing has changed.
   */
  async lend<T>(generation: StoredGeneration, change: () => Promise<T>): Promise<T> {
    try {
      await this.#export(generation);
      return await change();
    } finally {
      this.#coming = undefined;
      await this.reconcileExports().catch((error: unknown) =>
        this.#ports.log.error({ id: 'EXPORTS_NOT_APPLIED', err: error }, 'the exports could not be applied'),
      );
    }
  }

  /** Brings the NFS exports to what the view wants. Older generations stay exported: Pis still run on them. */
  async reconcileExports(): Promise<void> {
    await this.#ports.exporter.apply(this.#desired());
  }

  /** Why this path is not served; `undefined` when it is, or is not to be. */
  problemOf(path: string): string | undefined {
    return this.#ports.exporter.state().exports.find((entry) => entry.path === path)?.problem;
  }

  #desired(): Export[] {
    const { channels, view, areas } = this.#ports;
    const coming = this.#coming ? [this.#coming] : [];
    const held = [...this.#held().keys()].flatMap((id) => channels.usable(id) ?? []);
    return desiredExports(view(), [...channels.superseded(), ...held, ...coming], areas?.());
  }

  /** What becomes of each generation, as of now. */
  verdicts(): Verdict[] {
    const { channels, boots, keep, view } = this.#ports;
    const { nodes, published } = view();
    const generations = channels.generations();
    return retain({
      generations,
      published: new Map([...published].map(([image, { id }]) => [image, id])),
      history: new Map(channels.images().map((image) => [image, channels.history(image)])),
      boots: boots.all(),
      pinned: new Set(boots.pinned().map(({ id }) => id)),
      held: this.#held(),
      retired: new Set(generations.filter((each) => channels.isRetired(each)).map(({ id }) => id)),
      nodeName: (serial) => nodes.get(serial)?.name,
      keep,
      now: Date.now(),
    });
  }

  /**
   * Takes generations out of use for good, so that they can be deleted: their exports end first.
   * @throws Refusal when the one that is named is in use, with who uses it.
   */
  async withdraw({ generation: id, supersededOf }: WithdrawRequest): Promise<Withdrawn[]> {
    const { channels } = this.#ports;
    const isMeant = ({ image, id: each }: Verdict) =>
      supersededOf === undefined || (image === supersededOf && channels.history(image).includes(each));
    await this.refresh();
    const verdicts = this.verdicts();
    const named = verdicts.find((verdict) => verdict.id === id);
    if (id !== undefined && !named)
      throw new Refusal(`There is no generation "${id}"`, 'See "netboot images".');
    if (named && named.users.length > 0) {
      throw new Refusal(
        `${named.id} is in use: ${named.users.join('; ')}`,
        'Publish another generation, and reboot the nodes that run it.',
      );
    }
    const going = (named ? [named] : verdicts.filter((each) => mayGo(each) && isMeant(each))).flatMap(
      (each) => channels.byId(each.id) ?? [],
    );
    await channels.retire(going);
    await this.reconcileExports();
    return going.map((generation) => ({
      id: generation.id,
      folder: generation.folder,
      bytes: generation.root.size + bootTreeBytes(generation),
    }));
  }

  /** They were deleted, as far as they are no longer there. */
  async forget(ids: readonly string[]): Promise<string[]> {
    const { channels, events } = this.#ports;
    await this.refresh();
    const gone = ids.filter((id) => !channels.byId(id));
    await channels.forget(gone);
    if (gone.length > 0) events.tell({ kind: 'pruned', generations: gone });
    return gone;
  }

  /** Looks whether what images stand for is still on the disk; somebody may have deleted it, or put it back. */
  async inspect(warnings: WarningSink): Promise<void> {
    const { channels, show, view } = this.#ports;
    const found = new Map<string, string>();
    let hasChanged = channels.gone().size > 0;
    for (const generation of view().published.values()) {
      const { isGone, faults } = await this.#check(generation, 'sizes');
      hasChanged ||= isGone;
      if (isGone || faults.length === 0) continue;
      const text = `${generation.id}, which image ${generation.image} stands for, is damaged: ${faults.join(', ')}`;
      found.set(`GENERATION_DAMAGED ${generation.image}`, `${text}. ${remedyFor(generation.image)}`);
    }
    for (const [generation, names] of this.#superseded()) {
      const { isGone, faults } = await this.#check(generation, 'sizes');
      if (!isGone && faults.length === 0) continue;
      const text = `${generation.id}, which ${names.join(', ')} booted, is ${isGone ? 'gone from the disk' : 'damaged'}`;
      found.set(
        `GENERATION_RUNNING ${generation.id}`,
        `${text}: have them boot again, with what is published now`,
      );
    }
    for (const [id, users] of this.#held()) {
      const generation = users.length > 0 ? channels.byId(id) : undefined;
      if (generation) hasChanged ||= (await this.#check(generation, 'sizes')).isGone;
    }
    if (hasChanged) {
      await this.refresh();
      show(view().revision);
    }
    for (const [image, id] of view().gone ?? []) {
      const text = `${id}, which image ${image} stands for, is gone from the disk: no node can boot that image`;
      found.set(`GENERATION_GONE ${image}`, `${text}. ${remedyFor(image)}`);
    }
    for (const [id, text] of found) warnings.raise(id, text);
    for (const id of this.#warned) if (!found.has(id)) warnings.clear(id);
    this.#warned.clear();
    for (const id of found.keys()) this.#warned.add(id);
  }

  #held(): ReadonlyMap<string, readonly string[]> {
    return this.#ports.held?.() ?? new Map();
  }

  async #check(...asked: Parameters<CheckGeneration>): Promise<GenerationCheck> {
    return (await this.#ports.checkGeneration?.(...asked)) ?? { isGone: false, faults: [] };
  }

  /** What nodes booted and no image stands for any more, with their names. */
  #superseded(): Map<StoredGeneration, string[]> {
    const { channels, boots, view } = this.#ports;
    const { nodes, published } = view();
    const found = new Map<StoredGeneration, string[]>();
    for (const { serial, generation: id } of boots.all()) {
      const generation = channels.byId(id);
      const name = nodes.get(serial)?.name;
      if (!generation || name === undefined || published.get(generation.image)?.id === id) continue;
      found.set(generation, [...(found.get(generation) ?? []), name]);
    }
    return found;
  }

  async #export(generation: StoredGeneration): Promise<void> {
    this.#coming = generation;
    await this.reconcileExports();
    const problem = this.problemOf(rootExportPath(this.#ports.view().exportsFolder, generation.id));
    if (problem === undefined) return;
    this.#coming = undefined;
    await this.reconcileExports();
    throw new Refusal(
      `The root of ${generation.id} cannot be exported: ${problem}`,
      `It is not published; mend that and build it again: netboot build-image ${generation.image}`,
    );
  }
}

const remedyFor = (image: string): string =>
  `Go back to an earlier one: netboot rollback-image ${image}. Or build it anew: netboot build-image ${image}`;
