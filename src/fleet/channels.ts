import { z } from 'zod';
import { Refusal } from '../model/command.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Store } from './store.ts';

const PREFIX = 'channel/';

const channelSchema = z.object({
  generation: z.string(),
  /** Published before, newest first: nodes that booted them run on them still. */
  previous: z.array(z.string()),
  /** Seconds since 1970; it only ever grows. */
  since: z.number().optional(),
});

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

  /**
   * When what is published of this image was, in seconds since 1970. Of a generation published later it is never
   * less, whatever the clock says: a signed boot.img tells by it which is the newer one.
   */
  publishedAt(image: string): number {
    const channel = this.#channels().get(image);
    const sealedAt = this.#generations.get(channel?.generation ?? '')?.sealedAt;
    return channel?.since ?? Math.floor(Date.parse(sealedAt ?? '1970-01-01T00:00:00Z') / 1000);
  }

  /** Generations that were published before and are still on the disk. */
  superseded(): StoredGeneration[] {
    const ids = [...this.#channels().values()].flatMap((channel) => channel.previous);
    return [...new Set(ids)].flatMap((id) => this.#generations.get(id) ?? []);
  }

  /** @throws Refusal when there is no such generation of that image. */
  find(image: string, id: string): StoredGeneration {
    const generation = this.#generations.get(id);
    if (generation?.image === image) return generation;
    const ids = this.generations().flatMap((candidate) => (candidate.image === image ? [candidate.id] : []));
    throw new Refusal(
      `There is no generation "${id}" of image "${image}"`,
      `Sealed ones: ${ids.join(', ') || 'none'}.`,
    );
  }

  /** Resolves with the store's revision when the pointer has durably moved. */
  publish({ id, image }: StoredGeneration): Promise<number> {
    const before = this.#channels().get(image);
    const earlier = before ? [before.generation, ...before.previous] : [];
    const last = before && this.publishedAt(image);
    const since = before?.generation === id ? last : Math.max(Math.floor(Date.now() / 1000), (last ?? 0) + 1);
    const value = { generation: id, previous: [...new Set(earlier)].filter((other) => other !== id), since };
    return this.#store.transact({ writes: [{ kind: 'put', key: `${PREFIX}${image}`, value }] });
  }

  #channels(): Map<string, z.output<typeof channelSchema>> {
    const documents = this.#store.list(PREFIX);
    return new Map(documents.map(({ key, value }) => [key.slice(PREFIX.length), channelSchema.parse(value)]));
  }
}
