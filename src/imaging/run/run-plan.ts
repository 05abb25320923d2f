import { readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { StoredGeneration } from '../../model/generation.ts';
import type { BuildOrder, StepPlace } from '../build.ts';
import { commitEntry, type Entry, findEntry, touchEntry } from '../cache/entries.ts';
import { artifactKey, layerKey, pointerKey } from '../cache/key.ts';
import { writeNote } from '../cache/notes.ts';
import type { OpenedSource } from '../import/source.ts';
import type { PackageContext } from '../packages/context.ts';
import { fetchPackages } from '../packages/fetch.ts';
import type { Lock, LockSection, PackageRequest, Step, StepSource } from '../plan/step.ts';
import type { RecipeChain } from '../recipe/chain.ts';
import { copierFrom, knownSection, settleSection } from './package-steps.ts';
import { runOnRoot } from './root-mount.ts';
import { type Given, type Made, prepareStep, type StepContext, type StepRun } from './run-step.ts';
import { define, findArtifact, otherKeys, wholeKey } from './survey.ts';
import type { Transcript } from './transcript.ts';

export interface PlanContext extends BuildOrder {
  readonly cache: string;
  /** This build's own folder, on the file system of the cache. */
  readonly work: string;
  readonly again: (index: number) => boolean;
  readonly transcript: Transcript;
  readonly logFile: string;
  readonly now: () => Date;
  /** A generation that was built from all the same; asked before the root is squashed. */
  readonly existing: (key: string) => Promise<StoredGeneration | undefined> | undefined;
}

/** What all the steps made. */
export interface Built {
  /** Of the whole build. */
  readonly key: string;
  readonly layers: readonly Entry[];
  readonly artifacts: readonly Entry[];
  /** $OUT of the step that seals, in the work folder. */
  readonly squashed: string;
  /** There is nothing to seal: this is what it would be. */
  readonly existing: StoredGeneration | undefined;
  readonly lock: Lock;
  /** Keys of cache entries and SHA-256 of downloads that this build stands on. */
  readonly used: ReadonlySet<string>;
}

/** Runs the steps in order, each unless the cache has its result. */
export async function runPlan(
  chain: RecipeChain,
  steps: readonly Step[],
  context: PlanContext,
): Promise<Built> {
  const building = new Building(chain, steps, context);
  for (const index of steps.keys()) await building.step(index);
  return building.built();
}

class Building {
  readonly #chain: RecipeChain;
  readonly #steps: readonly Step[];
  readonly #context: PlanContext;
  readonly #asOf: Date;
  readonly #layers: Entry[] = [];
  readonly #artifacts = new Map<string, Entry>();
  readonly #sections: Record<string, LockSection> = {};
  readonly #finish: string[] = [];
  readonly #digests = new Map<string, string>();
  #squashed = '';
  #existing: StoredGeneration | undefined;

  constructor(chain: RecipeChain, steps: readonly Step[], context: PlanContext) {
    this.#chain = chain;
    this.#steps = steps;
    this.#context = context;
    this.#asOf = context.now();
  }

  built(): Built {
    const sections = Object.values(this.#sections);
    return {
      key: wholeKey(this.#chain, this.#top?.key ?? '', this.#finish),
      layers: this.#layers,
      artifacts: [...this.#artifacts.values()],
      squashed: this.#squashed,
      existing: this.#existing,
      lock: { version: 1, image: this.#chain.name, steps: this.#sections },
      used: new Set([
        ...[...this.#layers, ...this.#artifacts.values()].map(({ key }) => key),
        ...sections.flatMap(({ packages }) => packages.map(({ sha256 }) => sha256)),
      ]),
    };
  }

  async step(index: number): Promise<void> {
    const step = this.#steps[index] as Step;
    const { progress, now } = this.#context;
    const place = { step: step.id, name: step.name, index, of: this.#steps.length + 1 };
    const started = performance.now();
    let isShown = false;
    const show = () => {
      if (isShown) return;
      isShown = true;
      this.#context.transcript.write(`== ${step.id}: ${step.name}`);
      progress({ kind: 'started', ...place });
    };
    const section = await this.#section(step, place, show);
    if (section) this.#sections[step.id] = section;
    const definition = await define(step, this.#chain.arch, section);
    const cached = this.#context.again(index) ? undefined : await this.#find(step, definition);
    if (cached) {
      await touchEntry(this.#context.cache, cached, now());
      this.#context.transcript.write(`== ${step.id}: ${step.name} (kept from ${cached.at})`);
      this.#context.transcript.write((await readFile(cached.log, 'utf8').catch(() => '')).trimEnd());
      progress({ kind: 'cached', bytes: cached.bytes, ...place });
      this.#take(step, cached);
      if (step.output !== 'layer') this.#finish.push(definition);
      return;
    }
    if (step.output === 'seal') {
      const key = wholeKey(this.#chain, this.#top?.key ?? '', [...this.#finish, definition]);
      this.#existing = await this.#context.existing(key);
      if (this.#existing) return;
    }
    show();
    const entry = await this.#make(step, index, place, section);
    const seconds = (performance.now() - started) / 1000;
    progress({ kind: 'finished', seconds, ...(entry ? { bytes: entry.bytes } : {}), ...place });
  }

  get #top(): Entry | undefined {
    return this.#layers.at(-1);
  }

  #take(step: Step, entry: Entry): void {
    if (step.output === 'layer') this.#layers.push(entry);
    else this.#artifacts.set(step.id, entry);
  }

  /** What the step's packages are, by the lock, by memory, or by the archive. */
  async #section(step: Step, place: StepPlace, onAsk: () => void): Promise<LockSection | undefined> {
    const parent = this.#top?.key;
    const known = await knownSection(step, parent, this.#context);
    if (known || !step.packages) return known;
    onAsk();
    const context = { ...this.#packageContext(place), cache: this.#context.cache };
    return settleSection(step.packages, parent, context);
  }

  #packageContext(place: StepPlace): PackageContext {
    const { cache, run, work, aptFolder = '/etc/apt', signal, progress } = this.#context;
    return {
      run,
      downloadsFolder: join(cache, 'downloads'),
      workFolder: work,
      aptFolder,
      asOf: this.#asOf,
      copyFromRoot: copierFrom(this.#layers, { run, work, signal }),
      onLine: (line) => this.#line(place, line),
      onBytes: (done, total) => progress({ kind: 'bytes', done, total, ...place }),
      ...(signal ? { signal } : {}),
    };
  }

  #line(place: StepPlace, line: string): void {
    this.#context.transcript.write(line);
    this.#context.progress({ kind: 'line', line, ...place });
  }

  async #find(step: Step, definition: string): Promise<Entry | undefined> {
    const { cache, work } = this.#context;
    const layer = this.#top?.key;
    if (step.output === 'layer') return findEntry(cache, 'layer', layerKey(definition, layer));
    if (step.output === 'seal') return undefined;
    const others = otherKeys(step, this.#keys()) ?? [];
    const pointed = await findArtifact(cache, step, definition, layer ?? '', this.#keys());
    if (pointed) return pointed;
    const key = artifactKey(definition, await this.#read(step), others);
    const found = await findEntry(cache, 'artifact', key);
    if (found) await writeNote(cache, 'pointers', pointerKey(definition, layer ?? '', others), key, work);
    return found;
  }

  /** Of all that an artifact depends on in the root as it is. */
  async #read({ id, reads }: Step): Promise<string> {
    if (!reads) return this.#top?.key ?? '';
    const env = { READS: reads.toSorted().join(' ') };
    const digest =
      this.#digests.get(id) ?? (await runOnRoot(this.#layers, 'digest', [], { ...this.#context, env }));
    this.#digests.set(id, digest);
    return digest;
  }

  #keys(): ReadonlyMap<string, string> {
    return new Map([...this.#artifacts].map(([id, { key }]) => [id, key]));
  }

  /** Runs the step and keeps what it made; of the seal step, which goes into the generation alone, there is no entry. */
  async #make(
    step: Step,
    index: number,
    place: StepPlace,
    section: LockSection | undefined,
  ): Promise<Entry | undefined> {
    const folder = join(this.#context.work, `${index}`);
    const stepContext: StepContext = {
      image: this.#chain.name,
      arch: this.#chain.arch,
      run: this.#context.run,
      logFile: this.#context.logFile,
      onLine: (line) => this.#line(place, line),
      signal: this.#context.signal,
    };
    const run = await prepareStep(step, folder, stepContext);
    if (step.output === 'seal') {
      // It stays until the generation is sealed, and goes with the work folder.
      this.#finish.push(await define(step, this.#chain.arch, section, run.inputs));
      this.#squashed = (await run.execute(await this.#given(step, place, section, folder))).content;
      return undefined;
    }
    await using _gone = run;
    const definition = await define(step, this.#chain.arch, section, run.inputs);
    const entry =
      step.output === 'layer'
        ? await this.#layer(step, definition, run, () => this.#given(step, place, section, folder))
        : await this.#artifact(step, definition, run, () => this.#given(step, place, section, folder));
    this.#take(step, entry);
    return entry;
  }

  async #layer(step: Step, definition: string, run: StepRun, given: () => Promise<Given>): Promise<Entry> {
    return this.#commit('layer', layerKey(definition, this.#top?.key), step, run, await given());
  }

  async #artifact(step: Step, definition: string, run: StepRun, given: () => Promise<Given>): Promise<Entry> {
    const { cache, work } = this.#context;
    const others = otherKeys(step, this.#keys()) ?? [];
    const key = artifactKey(definition, await this.#read(step), others);
    const entry = await this.#commit('artifact', key, step, run, await given());
    await writeNote(cache, 'pointers', pointerKey(definition, this.#top?.key ?? '', others), key, work);
    this.#finish.push(definition);
    return entry;
  }

  async #commit(kind: Entry['kind'], key: string, step: Step, run: StepRun, given: Given): Promise<Entry> {
    const { cache, run: command, now } = this.#context;
    const started = performance.now();
    const made: Made = await run.execute(given);
    const parent = this.#top?.key;
    return commitEntry(cache, command, {
      kind,
      facts: {
        key,
        step: step.id,
        name: step.name,
        ...(kind === 'layer' && parent !== undefined ? { parent } : {}),
        ...(made.epoch === undefined ? {} : { epoch: made.epoch }),
        seconds: Math.round((performance.now() - started) / 100) / 10,
        at: now().toISOString(),
      },
      content: made.content,
      log: made.log,
      stage: run.folder,
    });
  }

  async #given(
    step: Step,
    place: StepPlace,
    section: LockSection | undefined,
    folder: string,
  ): Promise<Given> {
    const { packages: request, source } = step;
    const artifacts = new Map<string, Entry>();
    for (const id of step.artifacts ?? []) {
      const entry = this.#artifacts.get(id);
      if (entry) artifacts.set(id.split('/').at(-1) ?? id, entry);
    }
    return {
      layers: this.#layers,
      section,
      artifacts,
      debs: request && section ? await this.#fetch(section, request, place) : new Map(),
      ...(source ? { source: await this.#open(source, place, folder) } : {}),
    };
  }
  /** What was used longest ago goes first when the cache is full. */
  async #fetch(
    section: LockSection,
    request: PackageRequest,
    place: StepPlace,
  ): Promise<ReadonlyMap<string, string>> {
    const files = await fetchPackages(section, request, this.#packageContext(place));
    const now = this.#context.now();
    for (const file of files.values()) await utimes(file, now, now);
    return files;
  }

  #open(source: StepSource, place: StepPlace, workFolder: string): Promise<OpenedSource> {
    const { openSource, signal, progress } = this.#context;
    const onProgress = ({ done, total }: { done: number; total: number }) =>
      progress({ kind: 'bytes', done, total, ...place });
    return openSource(source, { workFolder, onProgress, ...(signal ? { signal } : {}) });
  }
}
