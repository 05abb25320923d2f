import { z } from 'zod';
import { Refusal } from '../model/command.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Store, Write } from './store.ts';

const PREFIX = 'channel/';
const RETIRED = 'retired/';

const channelSchema = z.object({
  generation: z.string(),
  /** Published before, newest first: nodes that booted them run on them still. */
  previous: z.array(z.string()),
  /** Seconds since 1970; it only ever grows. */
  since: z.number().optional(),
  /** The same of those published before: a node may still boot one. */
  times: z.record(z.string(), z.number()).default({}),
});
type Channel = z.output<typeof channelSchema>;

/** Which one was withdrawn to be deleted: built again, it has the same id and another time. */
const retiredSchema = z.object({ sealedAt: z.string() });

/** Which sealed generation each image stands for: a movable pointer per image name. */
export class Channels {
  readonly #store: Store;
  #generations: ReadonlyMap<string, StoredGeneration> = new Map();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Takes the sealed generations that are on the disk now. */
  know(generations: readonly StoredGeneration[]): void {
    this.#generations = new Map(generations.map((generation) => [generation.id, generation]));
  }

  generations(): StoredGeneration[] {
    return [...this.#generations.values()];
  }

  images(): string[] {
    return [
      ...new Set([...this.generations().map((generation) => generation.image), ...this.#channels().keys()]),
    ];
  }

  /** Image → the generation that nodes booting now get; a pointer to a vanished generation is no pointer. */
  published(): ReadonlyMap<string, StoredGeneration> {
    return new Map(
      [...this.#channels()].flatMap(([image, { generation }]) => {
        const found = this.#generations.get(generation);
        return found ? [[image, found] as const] : [];
      }),
    );
  }

  /** Image → the generation its pointer names although it is no longer there. */
  gone(): ReadonlyMap<string, string> {
    return new Map(
      [...this.#channels()].flatMap(([image, { generation }]) =>
        this.#generations.has(generation) ? [] : [[image, generation] as const],
      ),
    );
  }

  byId(id: string): StoredGeneration | undefined {
    return this.#generations.get(id);
  }

  /** The generation of that id, when it is there and nobody deletes it. */
  usable(id: string | undefined): StoredGeneration | undefined {
    const found = id === undefined ? undefined : this.#generations.get(id);
    return found && !this.isRetired(found) ? found : undefined;
  }

  /** The ids that were published before, the newest first, whether they are still there or not. */
  history(image: string): readonly string[] {
    return this.#channels().get(image)?.previous ?? [];
  }

  /**
   * When this generation, or what is published of this image, was published last, in seconds since 1970. Of one published
   * later it is never less, whatever the clock says: a signed boot.img tells by it which is the newer one.
   */
  publishedAt(image: string, id?: string): number {
    const channel = this.#channels().get(image);
    const current = channel?.generation ?? '';
    const sealedAt = this.#generations.get(id ?? current)?.sealedAt;
    const since = id === undefined || id === current ? channel?.since : channel?.times[id];
    return since ?? Math.floor(Date.parse(sealedAt ?? '1970-01-01T00:00:00Z') / 1000);
  }

  /** Generations that were published before and are still on the disk. */
  superseded(): StoredGeneration[] {
    const ids = [...this.#channels().values()].flatMap((channel) => channel.previous);
    return [...new Set(ids)].flatMap((id) => {
      const found = this.#generations.get(id);
      return found && !this.isRetired(found) ? found : [];
    });
  }

  /** It was withdrawn to be deleted, which somebody does now, or has not finished. */
  isRetired({ id, sealedAt }: StoredGeneration): boolean {
    const mark = this.#store.get(`${RETIRED}${id}`);
    return mark !== undefined && retiredSchema.parse(mark.value).sealedAt === sealedAt;
  }

  /** From now on they cannot be published any more. */
  async retire(generations: readonly StoredGeneration[]): Promise<void> {
    if (generations.length === 0) return;
    const writes = generations.map(
      ({ id, sealedAt }): Write => ({ kind: 'put', key: `${RETIRED}${id}`, value: { sealedAt } }),
    );
    await this.#store.transact({ writes });
  }

  /** They are deleted: no history tells of them any more. */
  async forget(ids: readonly string[]): Promise<void> {
    const isForgotten = (id: string) => ids.includes(id);
    const channels = [...this.#channels()].filter(([, { previous }]) => previous.some(isForgotten));
    const writes: Write[] = [
      ...ids.map((id): Write => ({ kind: 'delete', key: `${RETIRED}${id}` })),
      ...channels.map(([image, channel]): Write => {
        const previous = channel.previous.filter((id) => !isForgotten(id));
        return { kind: 'put', key: `${PREFIX}${image}`, value: { ...channel, previous } };
      }),
    ];
    if (writes.length > 0) await this.#store.transact({ writes });
  }

  /** @throws Refusal when there is no such generation of that image. */
  find(image: string, id: string): StoredGeneration {
    const generation = this.#generations.get(id);
    if (generation?.image === image && !this.isRetired(generation)) return generation;
    if (generation?.image === image) {
      throw new Refusal(
        `"${id}" is being removed`,
        `Have that finished with netboot prune-images; then netboot build-image ${image} makes it anew.`,
      );
    }
    const ids = this.generations().flatMap((candidate) => (candidate.image === image ? [candidate.id] : []));
    throw new Refusal(
      `There is no generation "${id}" of image "${image}"`,
      `Sealed ones: ${ids.join(', ') || 'none'}.`,
    );
  }

  /** The one that was sealed last. @throws Refusal when none is there. */
  newest(image: string): StoredGeneration {
    const usable = this.generations().filter((each) => each.image === image && !this.isRetired(each));
    const newest = usable.toSorted((a, b) => Date.parse(b.sealedAt) - Date.parse(a.sealedAt))[0];
    if (newest) return newest;
    throw new Refusal(
      `Image "${image}" has no sealed generation`,
      `See "netboot images"; build it with: netboot build-image ${image}`,
    );
  }

  /**
   * The generation that was published before the present one.
   * @throws Refusal with what there is when none is there any more.
   */
  findBefore(image: string): StoredGeneration {
    const before = this.history(image)
      .map((id) => this.#generations.get(id))
      .find((found) => found && !this.isRetired(found));
    if (before) return before;
    const current = this.#channels().get(image)?.generation;
    const others = this.generations().filter((each) => each.image === image && each.id !== current);
    throw new Refusal(
      `No generation of image "${image}" that was published before is there any more`,
      others.length > 0
        ? `Name one that never was with --to: ${others.map(({ id }) => id).join(', ')}.`
        : `There is no other one of it; see "netboot images".`,
    );
  }

  /**
   * Resolves with the store's revision when the pointer has durably moved.
   * @param beside what is written in the same transaction.
   */
  publish(generation: StoredGeneration, beside: readonly Write[] = []): Promise<number> {
    return this.#store.transact({ writes: [this.pointer(generation), ...beside] });
  }

  /** For a transaction: the image stands for this generation. */
  pointer({ id, image }: StoredGeneration): Write {
    const before = this.#channels().get(image);
    const earlier = before ? [before.generation, ...before.previous] : [];
    const last = before && this.publishedAt(image);
    const since = before?.generation === id ? last : Math.max(Math.floor(Date.now() / 1000), (last ?? 0) + 1);
    const previous = [...new Set(earlier)].filter((other) => other !== id);
    const times = Object.fromEntries(previous.map((each) => [each, this.publishedAt(image, each)]));
    const value: Channel = { generation: id, previous, since, times };
    return { kind: 'put', key: `${PREFIX}${image}`, value };
  }

  #channels(): Map<string, Channel> {
    const documents = this.#store.list(PREFIX);
    return new Map(documents.map(({ key, value }) => [key.slice(PREFIX.length), channelSchema.parse(value)]));
  }
}
