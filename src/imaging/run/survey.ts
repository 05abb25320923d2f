import { type Entry, findEntry } from '../cache/entries.ts';
import { type InputIdentity, identifyInputs } from '../cache/inputs.ts';
import { buildKey, definitionKey, layerKey, pointerKey } from '../cache/key.ts';
import { readNote } from '../cache/notes.ts';
import { readScripts } from '../cache/scripts.ts';
import type { StepState } from '../plan/plan.ts';
import type { Arch, Lock, LockSection, Step } from '../plan/step.ts';
import { type RecipeChain, settingsOf } from '../recipe/chain.ts';
import { STEPS_FOLDER } from './isolation.ts';
import { knownSection } from './package-steps.ts';

export interface SurveyOptions {
  readonly cache: string;
  readonly lock?: Lock | undefined;
  readonly update?: boolean | undefined;
  /** Steps that are to run whatever the cache has. */
  readonly again?: (index: number) => boolean;
}

export interface Survey {
  readonly states: readonly StepState[];
  /** Of the whole build; undefined while a package resolution is not known. */
  readonly key: string | undefined;
}

/** What the cache has for each step, by keys alone: no mount, no network, and nothing is changed. */
export async function survey(
  chain: RecipeChain,
  steps: readonly Step[],
  options: SurveyOptions,
): Promise<Survey> {
  const { cache, again = () => false } = options;
  const states: StepState[] = [];
  const finish: string[] = [];
  const artifacts = new Map<string, string>();
  /** Of the root so far; undefined when it cannot be known. */
  let layer: string | undefined;
  let isKnown = true;
  let running: string | undefined;
  for (const [index, step] of steps.entries()) {
    const section = isKnown ? await knownSection(step, layer, options) : undefined;
    if (step.packages && !section) isKnown = false;
    let isCached = false;
    if (isKnown) {
      const definition = await define(step, chain.arch, section);
      if (step.output === 'layer') {
        layer = layerKey(definition, layer);
        isCached = (await findEntry(cache, 'layer', layer)) !== undefined;
      } else {
        finish.push(definition);
        const found = await findArtifact(cache, step, definition, layer ?? '', artifacts);
        if (found) artifacts.set(step.id, found.key);
        isCached = found !== undefined;
      }
    }
    if (isCached && !again(index)) states.push({ kind: 'cached' });
    else states.push(running === undefined ? { kind: 'will run' } : { kind: 'runs after', id: running });
    if (states.at(-1)?.kind !== 'cached') running ??= step.id;
  }
  return { states, key: isKnown ? wholeKey(chain, layer ?? '', finish) : undefined };
}

/** Of a generation: all that was built, and what its manifest says of it. */
export function wholeKey(chain: RecipeChain, layer: string, finish: readonly string[]): string {
  return buildKey(layer, finish, { name: chain.name, arch: chain.arch, settings: settingsOf(chain) });
}

/** The step's definition key, from what its inputs are now or, as `inputs`, from the copies it is given. */
export async function define(
  step: Step,
  arch: Arch,
  section: LockSection | undefined,
  inputs?: readonly InputIdentity[],
): Promise<string> {
  return definitionKey({
    step,
    arch,
    section,
    scripts: await readScripts(STEPS_FOLDER, step.script),
    inputs: inputs ?? (await identifyInputs(step.inputs)),
  });
}

/** An artifact that was made from exactly this root before, or from another in which all it reads was the same. */
export async function findArtifact(
  cache: string,
  step: Step,
  definition: string,
  layer: string,
  others: ReadonlyMap<string, string>,
): Promise<Entry | undefined> {
  if (step.output !== 'artifact') return undefined;
  const given = otherKeys(step, others);
  if (!given) return undefined;
  const key = await readNote(cache, 'pointers', pointerKey(definition, layer, given));
  return typeof key === 'string' ? findEntry(cache, 'artifact', key) : undefined;
}

/** Keys of the artifacts that a step is given; undefined when one is not known yet. */
export function otherKeys({ artifacts = [] }: Step, keys: ReadonlyMap<string, string>): string[] | undefined {
  const found = artifacts.flatMap((id) => keys.get(id) ?? []);
  return found.length === artifacts.length ? found : undefined;
}
