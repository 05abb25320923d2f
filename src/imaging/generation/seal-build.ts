import type { StoredGeneration } from '../../model/generation.ts';
import type { BuildOrder } from '../build.ts';
import { type RecipeChain, settingsOf } from '../recipe/chain.ts';
import type { Built } from '../run/run-plan.ts';
import { sealGeneration } from './seal.ts';

export interface SealContext extends BuildOrder {
  readonly logFile: string;
  readonly started: Date;
  readonly now: () => Date;
  /** How many steps there are, this one counted. */
  readonly of: number;
}

/** The last step of every build: what was made becomes a generation. */
export async function sealBuild(
  chain: RecipeChain,
  built: Built,
  context: SealContext,
): Promise<StoredGeneration> {
  const { name, progress, now, generationsFolder, logFile, run } = context;
  const place = { step: `${name}/seal`, name: 'seal the generation', index: context.of - 1, of: context.of };
  progress({ kind: 'started', ...place });
  const since = performance.now();
  const { roles, boot, node } = settingsOf(chain);
  const { kernel, initramfs, config, cmdline } = boot;
  const generation = await sealGeneration({
    image: name,
    arch: chain.arch,
    recipeKey: built.key,
    boot: {
      kernel,
      ...(initramfs === undefined ? {} : { initramfs }),
      config: [...config],
      cmdline: [...cmdline],
    },
    roles,
    ...(node === undefined ? {} : { node }),
    squashed: built.squashed,
    bootTrees: built.artifacts.map(({ content }) => content),
    logFile,
    generationsFolder,
    chain: chain.images.map(({ name: image }) => ({ image, text: chain.texts[image] ?? '' })),
    variables: chain.variables,
    ...(Object.keys(built.lock.steps).length > 0 ? { lock: built.lock } : {}),
    seconds: (now().getTime() - context.started.getTime()) / 1000,
    epoch: built.layers.at(-1)?.epoch ?? 0,
    now,
    protectWith: run,
  });
  progress({
    kind: 'finished',
    seconds: (performance.now() - since) / 1000,
    bytes: generation.root.size,
    ...place,
  });
  return generation;
}
