import type { BootView } from '../model/boot-view.ts';
import { Refusal } from '../model/command.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { oneAtATime } from '../model/one-at-a-time.ts';
import type { WarningSink } from '../model/warnings.ts';
import type { Channels } from './channels.ts';
import type { Published, Publishing, Withdrawn, WithdrawRequest } from './publishing.ts';
import type { Verdict } from './retention.ts';
import type { RolloutBook } from './rollout/book.ts';
import { mustBeFree } from './rollout/start.ts';

export interface ReleasesPorts {
  readonly publishing: Publishing;
  readonly channels: Channels;
  readonly rollouts: RolloutBook;
  readonly view: () => BootView;
  readonly inTurn: ReturnType<typeof oneAtATime>;
}

/** What people do with sealed generations: each in its turn, after a look at what is on the disk. */
export class Releases {
  readonly #ports: ReleasesPorts;

  constructor(ports: ReleasesPorts) {
    this.#ports = ports;
  }

  /**
   * Points the image's channel at a sealed generation that is whole; see {@link Publishing.move}.
   * @throws Refusal when there is no such generation, or it is damaged, or its root cannot be exported: then nothing has
   * changed.
   */
  publish(image: string, generationId: string): Promise<Published> {
    return this.#moveTo(() => this.#ports.channels.find(image, generationId), 'published');
  }

  /** Back to the generation published before this one, or to the one named. @throws Refusal as {@link publish} does. */
  rollback(image: string, to?: string): Promise<Published> {
    return this.#moveTo(() => this.rollbackTarget(image, to), 'rolled back');
  }

  /** What {@link rollback} would go back to. @throws Refusal when there is none. */
  rollbackTarget(image: string, to?: string): StoredGeneration {
    if (to === undefined) return this.#ports.channels.findBefore(image);
    const generation = this.#ports.channels.find(image, to);
    if (this.#ports.view().published.get(image)?.id !== to) return generation;
    throw new Refusal(`${to} is what image "${image}" stands for already`, 'See "netboot images".');
  }

  /** Reading the files takes a while, in which nobody has to wait. */
  async #moveTo(find: () => StoredGeneration, kind: 'published' | 'rolled back'): Promise<Published> {
    await this.#ports.publishing.refresh();
    await this.#ports.publishing.checkWhole(find());
    return this.#ports.inTurn(() => {
      const generation = find();
      mustBeFree(this.#ports.rollouts.activeOf(generation.image));
      return this.#ports.publishing.move(generation, kind);
    });
  }

  /**
   * The generation of that id, or of all the image has the one that was sealed last.
   * @throws Refusal when there is none, or it is not as it was sealed.
   */
  async whole(image: string, id: string | undefined): Promise<StoredGeneration> {
    await this.#ports.publishing.refresh();
    const generation =
      id === undefined ? this.#ports.channels.newest(image) : this.#ports.channels.find(image, id);
    await this.#ports.publishing.checkWhole(generation);
    return generation;
  }

  /** See {@link Publishing.lend}; `change` may move image pointers, in the same transaction as what it writes. */
  lend<T>(generation: StoredGeneration, change: (move: Publishing['move']) => Promise<T>): Promise<T> {
    const move: Publishing['move'] = (...asked) => this.#ports.publishing.move(...asked);
    return this.#ports.inTurn(() => this.#ports.publishing.lend(generation, () => change(move)));
  }

  /** What becomes of each generation when images are pruned. */
  async retention(): Promise<Verdict[]> {
    await this.#ports.publishing.refresh();
    return this.#ports.publishing.verdicts();
  }

  /** See {@link Publishing.withdraw}. */
  withdraw(request: WithdrawRequest = {}): Promise<Withdrawn[]> {
    return this.#ports.inTurn(() => this.#ports.publishing.withdraw(request));
  }

  /** Generations that were withdrawn have been deleted. */
  forget(ids: readonly string[]): Promise<string[]> {
    return this.#ports.inTurn(() => this.#ports.publishing.forget(ids));
  }

  /** Raises a warning for every image whose generation is damaged or gone, and takes back those that are over. */
  inspect(warnings: WarningSink): Promise<void> {
    return this.#ports.inTurn(() => this.#ports.publishing.inspect(warnings));
  }
}
