import type { BootView } from '../model/boot-view.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Node } from '../model/node.ts';

/** What there is that a setting of a node or profile may name. */
export interface Choices {
  readonly view: BootView;
  /** Every image: with a recipe, or with sealed generations. */
  readonly images: readonly string[];
  /** Those that a Pi can boot, as far as is known. */
  readonly imagesForPis: readonly string[];
  /** The templates of `power` in the configuration. */
  readonly power: readonly string[];
  /** What a node boots next. */
  readonly intended: (node: Node) => StoredGeneration | undefined;
}

/** @param archOf what a recipe's image is built for, as far as it tells. */
export async function imagesForPis(
  images: readonly string[],
  { published }: BootView,
  archOf: ((image: string) => Promise<string | undefined>) | undefined,
): Promise<string[]> {
  const archs = await Promise.all(images.map(async (image) => published.get(image)?.arch ?? archOf?.(image)));
  return images.filter((_, index) => archs[index] !== 'amd64');
}
