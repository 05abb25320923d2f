import type { Config } from '../config.ts';
import type { BootPin, BootStage } from '../model/boot-pin.ts';
import type { BootView } from '../model/boot-view.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Network } from '../model/network.ts';
import type { Node } from '../model/node.ts';
import type { NodeFile } from '../model/node-file.ts';
import { oneAtATime } from '../model/one-at-a-time.ts';
import type { Sighting } from '../model/sighting.ts';
import type { WarningSink } from '../model/warnings.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Serial } from '../net/serial.ts';
import { Addresses } from './addresses.ts';
import { Assignments } from './assignments.ts';
import { BootPayloads } from './boot-payload.ts';
import { Boots, isKernel } from './boots.ts';
import { Channels } from './channels.ts';
import { type Choices, imagesForPis } from './choices.ts';
import { Conditions, stateKey } from './conditions.ts';
import { EventHub } from './events.ts';
import type { FleetPorts } from './fleet-ports.ts';
import { LeaseTable } from './leases.ts';
import { NodeFiles } from './node-files.ts';
import { type ChangedNode, type NodeChange, type NodeRequest, Nodes } from './nodes.ts';
import { PrivateAreas } from './private-areas.ts';
import { Profiles } from './profiles.ts';
import { type Published, Publishing, type Withdrawn, type WithdrawRequest } from './publishing.ts';
import { Releases } from './releases.ts';
import { Reporting } from './reporting.ts';
import type { Verdict } from './retention.ts';
import { RolloutBook } from './rollout/book.ts';
import { heldGenerations } from './rollout/held.ts';
import { Roster } from './roster.ts';
import { Sightings } from './sightings.ts';
import { Tokens } from './tokens.ts';
import { buildView } from './view.ts';

type Settings = Pick<Config, 'nodes' | 'nfs' | 'http' | 'build' | 'power' | 'reports'>;

/**
 * The use cases, and the only writer of the store. Every verb is one transaction; then a new BootView replaces
 * the old one, so that the next packet is answered by it and nothing restarts.
 */
export class Fleet {
  readonly leases: LeaseTable;
  /** Where each node is. */
  readonly addresses: Addresses;
  /** What nodes write to on the appliance. */
  readonly areas: PrivateAreas;
  readonly sightings = new Sightings();
  readonly channels: Channels;
  /** Nodes that boot another generation than their image stands for. */
  readonly assignments: Assignments;
  /** Generations on their way through the nodes of their image. */
  readonly rollouts: RolloutBook;
  /** What machines boot, and booted last. */
  readonly boots: Boots;
  readonly events = new EventHub();
  /** How far each node is. */
  readonly conditions: Conditions;
  /** Files that no image holds, for the nodes that have them. */
  readonly files: NodeFiles;
  readonly nodes: Nodes;
  /** Groups of nodes with settings in common. */
  readonly profiles: Profiles;
  /** What nodes ask and tell, and are told. */
  readonly reporting: Reporting;
  readonly #roster: Roster;
  readonly #tokens: Tokens;
  readonly #publishing: Publishing;
  readonly #releases: Releases;
  readonly #ports: FleetPorts;
  readonly #config: Settings;
  #networks: ReadonlyMap<string, Network>;
  /** Behind `#networks` while their exports could not be applied. */
  #exportedNetworks: ReadonlyMap<string, Network>;
  #view: BootView;
  /** One verb after the other: each checks against what the one before it left. */
  readonly #inTurn = oneAtATime();

  private constructor(
    ports: FleetPorts,
    config: Settings,
    networks: ReadonlyMap<string, Network>,
    channels: Channels,
    tokens: Tokens,
  ) {
    this.#ports = ports;
    this.#tokens = tokens;
    this.#config = config;
    this.#networks = networks;
    this.#exportedNetworks = networks;
    this.leases = new LeaseTable(ports.store);
    this.channels = channels;
    this.assignments = new Assignments(ports.store);
    this.rollouts = new RolloutBook(ports.store, (serial) => this.#view.nodes.has(serial));
    this.files = new NodeFiles(ports.store);
    this.#roster = new Roster({
      ...ports,
      events: this.events,
      defaultImage: config.nodes.defaultImage,
      show: (revision) => this.#show(revision),
    });
    this.#view = this.#makeView(ports.store.revision());
    this.addresses = new Addresses({ ...ports, view: () => this.#view, leases: this.leases });
    this.boots = new Boots({
      store: ports.store,
      log: ports.log,
      intended: (node) => this.intended(node),
      generation: (id) => channels.byId(id),
      isNode: (serial) => this.#roster.members().own.has(serial),
      onBegun: ({ serial, name }, generation) => {
        this.events.tell({ kind: 'boot begun', serial, name, generation: generation.id });
        this.conditions.begun(serial, generation);
        this.areas.begun(serial);
      },
      alongside: (node, generation, at) => this.rollouts.claim(node, generation, at),
      attempts: config.nodes.attempts,
      onFellBack: ({ serial, name }, { from, to, attempts }) =>
        this.events.tell({ kind: 'fell back', serial, name, from, to: to.id, attempts }),
    });
    const members = {
      roster: this.#roster,
      files: this.files,
      choices: () => this.#choices(),
      inTurn: this.#inTurn,
      retrial: (serial: Serial) => this.boots.retrial(serial),
    };
    this.profiles = new Profiles(members);
    this.nodes = new Nodes({
      ...members,
      sightings: this.sightings,
      view: () => this.#view,
      intended: (node) => this.intended(node),
      checkIdle: (node) => this.areas.checkIdle(node, 'remove-node'),
      log: ports.log,
    });
    const payloads = ports.fetchedBytes && new BootPayloads(ports.fetchedBytes);
    this.conditions = new Conditions({
      store: ports.store,
      log: ports.log,
      events: this.events,
      node: (serial) => this.#view.nodes.get(serial),
      given: (serial) => this.given(serial),
      payload: (serial, generation) => payloads?.of(generation, this.sightings.bySerial(serial)?.machine),
      onReported: (serial, { state, report }) => {
        if (state === 'up' && report) this.boots.cameUp(serial, report.generation);
      },
    });
    this.nodes.takeAlong((serial) => [
      { kind: 'delete', key: stateKey(serial) },
      ...this.boots.removal(serial),
    ]);
    this.reporting = new Reporting({
      ...ports,
      tokens,
      events: this.events,
      view: () => this.#view,
      addresses: this.addresses,
      filesOf: (node) => this.filesOf(node),
      generation: (id) => channels.byId(id),
      given: (serial) => this.given(serial)?.generation,
      ageOf: (serial, since) => this.boots.ageOf(serial, since),
      onRedeemed: (serial) => this.conditions.mounted(serial),
      onReport: (serial, report) => this.conditions.reported(serial, report),
    });
    this.nodes.takeAlong((serial) => this.reporting.removal(serial));
    this.#publishing = new Publishing({
      ...ports,
      channels,
      boots: this.boots,
      events: this.events,
      keep: config.build.keep,
      held: () => heldGenerations({ rollouts: this.rollouts, boots: this.boots, view: () => this.#view }),
      areas: () => this.areas.all(),
      view: () => this.#view,
      show: (revision) => this.#show(revision),
    });
    this.#releases = new Releases({
      publishing: this.#publishing,
      channels,
      rollouts: this.rollouts,
      view: () => this.#view,
      inTurn: this.#inTurn,
    });
    this.areas = new PrivateAreas({
      ...ports,
      view: () => this.#view,
      addresses: this.addresses,
      generationsOf: (node) =>
        [this.intended(node), channels.byId(this.boots.record(node.serial)?.generation ?? '')].filter(
          (generation) => generation !== undefined,
        ),
      stateOf: (serial) => this.conditions.of(serial).state,
      mayRun: (serial) => this.conditions.mayRun(serial),
      applyExports: () => this.reconcileExports(),
      problemOf: (path) =>
        ports.exporter.kind === 'none'
          ? 'nothing is exported (nfs.server: none)'
          : this.#publishing.problemOf(path),
    });
  }

  static async open(
    ports: FleetPorts,
    config: Settings,
    networks: ReadonlyMap<string, Network>,
  ): Promise<Fleet> {
    const channels = new Channels(ports.store);
    const { generations, problems } = await ports.readGenerations();
    for (const problem of problems) ports.log.warn({ id: 'GENERATION_BROKEN' }, problem);
    channels.know(generations);
    const tokens = await Tokens.open(ports.store, config.reports.port);
    return new Fleet(ports, config, networks, channels, tokens);
  }

  /** The snapshot that decisions read. */
  view(): BootView {
    return this.#view;
  }

  /** The interfaces as they were when their exports were last applied. */
  networks(): ReadonlyMap<string, Network> {
    return this.#exportedNetworks;
  }

  /** The node meant by a serial in its wire form, a MAC, or a name. @throws Refusal when there is none. */
  find(reference: string): Node {
    return this.nodes.find(reference);
  }

  /** @throws Refusal when it is there already, or clashes with another node. */
  addNode(request: NodeRequest): Promise<ChangedNode> {
    return this.nodes.add(request);
  }

  setNode(reference: string, change: NodeChange): Promise<ChangedNode> {
    return this.nodes.set(reference, change);
  }

  removeNode(reference: string, options?: { readonly force?: boolean }): Promise<ChangedNode> {
    return this.nodes.remove(reference, options);
  }

  /** With their contents: for the node alone. */
  filesOf(node: Node): NodeFile[] {
    return this.files.filesOf(node);
  }

  /** A machine asked to boot. A node's first sighting tells its MAC, by which its later, serial-less stages are known. */
  see(sighting: Sighting): void {
    this.nodes.see(sighting);
  }

  /** Every image there is: with a recipe, or with sealed generations. */
  async imageNames(): Promise<string[]> {
    return [...new Set([...(await this.#ports.recipeNames()), ...this.channels.images()])].sort();
  }

  async #choices(): Promise<Choices> {
    const images = await this.imageNames();
    return {
      view: this.#view,
      images,
      imagesForPis: await imagesForPis(images, this.#view, this.#ports.recipeArch),
      power: Object.keys(this.#config.power),
      intended: (node) => this.intended(node),
    };
  }

  /** They get what they are to boot again, however often they failed with that. */
  async retry(nodes: readonly Node[]): Promise<void> {
    await this.#ports.store.transact({ writes: nodes.flatMap(({ serial }) => this.boots.retrial(serial)) });
  }

  /** A program of a machine asked DHCP where to boot from. */
  announce(stage: BootStage): void {
    if (this.boots.announce(stage)) this.conditions.asked(stage.serial);
  }

  /**
   * The generation that the node is to boot: its own assignment, as long as that and the rollout are there, else what its
   * image stands for.
   */
  intended(node: Node): StoredGeneration | undefined {
    const { by = '', generation } = this.assignments.of(node) ?? {};
    const id = this.rollouts.isActive(by) ? generation : this.rollouts.offers(node)?.target;
    return this.channels.usable(id) ?? this.#view.published.get(node.image);
  }

  /** What the node runs, as far as the wire tells: what it was given, once it has its kernel. */
  given(
    serial: Serial,
  ): { readonly id: string; readonly generation: StoredGeneration | undefined } | undefined {
    const record = this.boots.record(serial);
    const id = record && (record.gotKernel ? record.generation : (record.before ?? record.generation));
    return id === undefined ? undefined : { id, generation: this.channels.byId(id) };
  }

  /** Which generation a node gets this file from. */
  pin(node: Node, name: string, from?: Ipv4): BootPin | undefined {
    const boot = this.boots.pin(node, name);
    // Behind it: where a node was seen since its boot began is where it is now.
    if (from !== undefined) void this.addresses.located(node.serial, from);
    if (!boot) return undefined;
    const { generation, stored, since } = boot;
    const { serial } = node;
    const isNode = this.#view.nodes.has(serial);
    return {
      generation,
      stored,
      words: (address) => (isNode ? this.#tokens.wordsFor(node, generation, address, since) : []),
      onServed: (file, bytes) => {
        this.conditions.served(serial, file, bytes);
        if (isKernel(generation, file)) this.conditions.kernel(serial);
      },
    };
  }

  /** See {@link Releases} of these. */
  publish(image: string, generationId: string): Promise<Published> {
    return this.#releases.publish(image, generationId);
  }

  rollback(image: string, to?: string): Promise<Published> {
    return this.#releases.rollback(image, to);
  }

  rollbackTarget(image: string, to?: string): StoredGeneration {
    return this.#releases.rollbackTarget(image, to);
  }

  wholeGeneration(image: string, id: string | undefined): Promise<StoredGeneration> {
    return this.#releases.whole(image, id);
  }

  lend<T>(generation: StoredGeneration, change: (move: Publishing['move']) => Promise<T>): Promise<T> {
    return this.#releases.lend(generation, change);
  }

  retention(): Promise<Verdict[]> {
    return this.#releases.retention();
  }

  withdraw(request: WithdrawRequest = {}): Promise<Withdrawn[]> {
    return this.#releases.withdraw(request);
  }

  forget(ids: readonly string[]): Promise<string[]> {
    return this.#releases.forget(ids);
  }

  inspectGenerations(warnings: WarningSink): Promise<void> {
    this.#roster.inspect(warnings);
    return this.#releases.inspect(warnings);
  }

  /** The interfaces have other addresses now. */
  setNetworks(networks: ReadonlyMap<string, Network>): Promise<void> {
    return this.#inTurn(async () => {
      this.#networks = networks;
      this.#show(this.#view.revision);
      await this.reconcileExports();
      this.#exportedNetworks = networks;
    });
  }

  /** Brings the NFS exports to what the view wants. */
  reconcileExports(): Promise<void> {
    return this.#publishing.reconcileExports();
  }

  #show(revision: number): void {
    this.#view = this.#makeView(revision);
  }

  #makeView(revision: number): BootView {
    return buildView({
      revision,
      networks: this.#networks,
      nodes: this.#roster.members().nodes.values(),
      published: this.channels.published(),
      gone: this.channels.gone(),
      policy: this.#config.nodes,
      httpPort: this.#config.http.port === 'off' ? undefined : this.#config.http.port,
      exportsFolder: this.#config.nfs.exports,
    });
  }
}
