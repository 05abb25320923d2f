import { createHash } from 'node:crypto';
import type { Arch, LockSection, Step } from '../plan/step.ts';
import { canonical } from '../recipe/canonical.ts';
import type { InputIdentity } from './inputs.ts';

/** Raised when the same definition comes to mean something else to the engine: nothing cached before counts any more. */
const FORMAT = 1;

/** All that a step's result follows from, but the root it works on. */
export interface Definition {
  readonly step: Step;
  readonly arch: Arch;
  /** SHA-256 by name of each script that runs: scripts.ts. */
  readonly scripts: Readonly<Record<string, string>>;
  readonly inputs: readonly InputIdentity[];
  /** What its packages were resolved to. */
  readonly section: LockSection | undefined;
}

/** What a step is, wherever it stands. Neither its id and name nor the place of its files are part of it. */
export function definitionKey({ step, arch, scripts, inputs, section }: Definition): string {
  const { script, variables, output, source, reads, artifacts = [], network = false } = step;
  const packages = section && {
    // Where a package comes from says nothing of what it is.
    packages: section.packages.map(({ sha256, purpose }) => `${sha256} ${purpose}`).toSorted(),
    removed: section.removed.toSorted(),
  };
  return hash({
    format: FORMAT,
    script,
    scripts,
    variables,
    inputs,
    packages,
    output,
    source: source && { kind: source.kind, sha256: source.sha256 },
    // Only for what it can see: a wider list of what it reads is another promise.
    reads: reads?.toSorted(),
    artifacts,
    network,
    arch,
  });
}

/** A layer is its step on its parent. */
export const layerKey = (definition: string, parent: string | undefined): string =>
  hash({ layer: definition, parent: parent ?? null });

/** Of an artifact by all of the root: where to look without a mount. */
export const pointerKey = (definition: string, layer: string, artifacts: readonly string[]): string =>
  hash({ pointer: definition, layer, artifacts });

/** Of an artifact by what it reads of the root. */
export const artifactKey = (definition: string, read: string, artifacts: readonly string[]): string =>
  hash({ artifact: definition, read, artifacts });

/** Under which a resolution of packages is remembered. */
export const requestKey = (request: object, parent: string | undefined): string =>
  hash({ request, parent: parent ?? null });

/** Of a whole build: equal keys mean that building again would change nothing. */
export const buildKey = (layer: string, finish: readonly string[], settings: object): string =>
  hash({ build: layer, finish, settings });

const hash = (value: unknown): string => createHash('sha256').update(canonical(value)).digest('hex');
