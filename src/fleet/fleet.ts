import type { Config } from '../config.ts';
import type { BootPin, BootStage } from '../model/boot-pin.ts';
import type { BootView } from '../model/boot-view.ts';
import { Refusal } from '../model/command.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Log } from '../model/log.ts';
import type { Network } from '../model/network.ts';
import { type Node, nodeSchema } from '../model/node.ts';
import { oneAtATime } from '../model/one-at-a-time.ts';
import type { Sighting } from '../model/sighting.ts';
import { throttle } from '../model/throttle.ts';
import type { WarningSink } from '../model/warnings.ts';
import { type Mac, parseMac } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';
import type { Exporter } from '../nfs/applied.ts';
import { Boots } from './boots.ts';
import { Channels } from './channels.ts';
import { EventHub } from './events.ts';
import { LeaseTable } from './leases.ts';
import { checkNode, clash, serialForMac } from './node-rules.ts';
import {
  type CheckGeneration,
  type Published,
  Publishing,
  type Withdrawn,
  type WithdrawRequest,
} from './publishing.ts';
import type { Verdict } from './retention.ts';
import { Sightings } from './sightings.ts';
import type { Store } from './store.ts';
import { buildView } from './view.ts';

const MAC_LINES_INTERVAL_MS = 1000;

const nodeKey = (serial: Serial): string => `node/${serial}`;

/** What the fleet needs of the machine it runs on; the daemon gives it. */
export interface FleetPorts {
  readonly store: Store;
  readonly exporter: Exporter;
  readonly readGenerations: () => Promise<{ generations: StoredGeneration[]; problems: string[] }>;
  /** Names of the images that have a recipe, built or not. */
  readonly recipeNames: () => Promise<string[]>;
  /** What a recipe's image is built for, as far as it tells. */
  readonly recipeArch?: (image: string) => Promise<string | undefined>;
  /** Without it, generations are taken to be as they were sealed. */
  readonly checkGeneration?: CheckGeneration;
  readonly log: Log;
}

type Settings = Pick<Config, 'nodes' | 'nfs' | 'http' | 'build'>;

/** A node as asked for: what is left out gets its default. A machine that is no Pi has a MAC in place of a serial. */
export type NodeRequest = { [K in keyof Node]?: Node[K] | undefined };

/** Changes to a node; `null` takes a value away. */
export type NodeChange = { [K in Exclude<keyof Node, 'serial'>]?: Node[K] | null | undefined };

/**
 * The use cases, and the only writer of the store. Every verb is one transaction; then a new BootView replaces
 * the old one, so that the next packet is answered by it and nothing restarts.
 */
export class Fleet {
  readonly leases: LeaseTable;
  readonly sightings = new Sightings();
  readonly channels: Channels;
  /** What machines boot, and booted last. */
  readonly boots: Boots;
  readonly events = new EventHub();
  readonly #publishing: Publishing;
  readonly #ports: FleetPorts;
  readonly #config: Settings;
  #networks: ReadonlyMap<string, Network>;
  /** Behind `#networks` while their exports could not be applied. */
  #exportedNetworks: ReadonlyMap<string, Network>;
  #nodes: ReadonlyMap<Serial, Node>;
  #view: BootView;
  /** One verb after the other: each checks against what the one before it left. */
  readonly #inTurn = oneAtATime();
  /** Nodes whose first MAC is being stored. */
  readonly #learning = new Set<Serial>();
  /** Who invents MACs for a serial must not fill the log. */
  readonly #otherMacs = throttle(MAC_LINES_INTERVAL_MS, Date.now);
  readonly #lostMacs = throttle(MAC_LINES_INTERVAL_MS, Date.now);

  private constructor(
    ports: FleetPorts,
    config: Settings,
    networks: ReadonlyMap<string, Network>,
    channels: Channels,
  ) {
    this.#ports = ports;
    this.#config = config;
    this.#networks = networks;
    this.#exportedNetworks = networks;
    this.leases = new LeaseTable(ports.store);
    this.channels = channels;
    const stored = ports.store.list('node/').map((document) => nodeSchema.parse(document.value));
    this.#nodes = new Map(stored.map((node) => [node.serial, node]));
    this.#view = this.#makeView(ports.store.revision());
    this.boots = new Boots({
      store: ports.store,
      log: ports.log,
      published: (image) => this.#view.published.get(image),
      generation: (id) => channels.byId(id),
      isNode: (serial) => this.#nodes.has(serial),
      onBegun: ({ serial, name }, { id }) =>
        this.events.tell({ kind: 'boot begun', serial, name, generation: id }),
    });
    this.#publishing = new Publishing({
      ...ports,
      channels,
      boots: this.boots,
      events: this.events,
      keep: config.build.keep,
      view: () => this.#view,
      show: (revision) => this.#show(this.#nodes, revision),
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
    return new Fleet(ports, config, networks, channels);
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
    const byName = () => [...this.#nodes.values()].find(({ name }) => name === reference);
    const byMac = () => this.#view.nodesByMac.get(parseMac(reference) as Mac);
    const node = this.#nodes.get(reference as Serial) ?? byName() ?? byMac();
    if (node) return node;
    throw new Refusal(
      `There is no node "${reference}"`,
      'See "netboot nodes", or add it: netboot add-node <serial>',
    );
  }

  /** @throws Refusal when it is there already, or clashes with another node. */
  addNode(request: NodeRequest): Promise<{ node: Node; revision: number }> {
    return this.#inTurn(async () => {
      const serial = request.serial ?? serialForMac(request.mac);
      const present = this.#nodes.get(serial);
      if (present) throw clash(serial, present, request);
      const images = await this.imageNames();
      const fitting = request.serial ? await this.#imagesForPis(images) : images;
      // Of what is built only for Pis: what another machine needs, nobody knows.
      const built = request.serial ? fitting.filter((image) => this.#view.published.has(image)) : [];
      const only = [fitting, built].find(({ length }) => length === 1)?.[0];
      const image = request.image ?? this.#config.nodes.defaultImage ?? only;
      if (!image)
        throw new Refusal(
          'No image is named',
          `Give one with --image: ${images.join(', ') || 'none is known'}.`,
        );
      const seen = this.sightings.bySerial(serial);
      const mac = request.mac ?? (seen && !this.#view.nodesByMac.has(seen.mac) ? seen.mac : undefined);
      const name = request.name ?? `${request.serial ? 'pi' : 'node'}-${serial}`;
      const node = withoutGaps({ ...request, serial, name, image, mac });
      checkNode(this.#view, node, images);
      return this.#putNode(node, 'node added');
    });
  }

  setNode(reference: string, change: NodeChange): Promise<{ node: Node; revision: number }> {
    return this.#inTurn(async () => {
      const present = this.find(reference);
      const defined = Object.entries(change).filter(([, value]) => value !== undefined);
      const node = withoutGaps({ ...present, ...Object.fromEntries(defined) } as Parameters<
        typeof withoutGaps
      >[0]);
      checkNode(this.#view, node, await this.imageNames());
      return this.#putNode(node, 'node changed');
    });
  }

  removeNode(reference: string): Promise<{ node: Node; revision: number }> {
    return this.#inTurn(async () => {
      const node = this.find(reference);
      const revision = await this.#ports.store.transact({
        writes: [{ kind: 'delete', key: nodeKey(node.serial) }],
      });
      const nodes = new Map(this.#nodes);
      nodes.delete(node.serial);
      this.#show(nodes, revision);
      this.#tell('node removed', node);
      return { node, revision };
    });
  }

  /** A machine asked to boot. A node's first sighting tells its MAC, by which its later, serial-less stages are known. */
  see(sighting: Sighting): void {
    this.sightings.record(sighting);
    const node = sighting.serial && this.#nodes.get(sighting.serial);
    if (!node || node.mac === sighting.mac) return;
    if (node.mac || this.#view.nodesByMac.has(sighting.mac)) {
      this.#otherMacs((left) =>
        this.#ports.log.warn(
          { id: 'NODE_MAC_DIFFERS', serial: node.serial, mac: sighting.mac, left },
          `node ${node.name} asks with a MAC that is not its own: "netboot set-node ${node.serial} --mac ${sighting.mac}" if that is right`,
        ),
      );
      return;
    }
    if (!this.#learning.has(node.serial)) void this.#learnMac(node.serial, sighting.mac);
  }

  /** The MAC that is seen first stays: whoever comes while it is being stored, or before a person has given one, is too late. */
  async #learnMac(serial: Serial, mac: Mac): Promise<void> {
    this.#learning.add(serial);
    try {
      await this.#inTurn(async () => {
        const present = this.#nodes.get(serial);
        if (!present || present.mac || this.#view.nodesByMac.has(mac)) return;
        await this.#putNode({ ...present, mac }, 'node changed');
      });
    } catch (error) {
      this.#lostMacs((left) =>
        this.#ports.log.error(
          { id: 'NODE_MAC_LOST', serial, err: error, left },
          'the MAC of a node could not be stored',
        ),
      );
    } finally {
      this.#learning.delete(serial);
    }
  }

  /** Every image there is: with a recipe, or with sealed generations. */
  async imageNames(): Promise<string[]> {
    return [...new Set([...(await this.#ports.recipeNames()), ...this.channels.images()])].sort();
  }

  async #imagesForPis(images: readonly string[]): Promise<string[]> {
    const archOf = (image: string) =>
      this.#view.published.get(image)?.arch ?? this.#ports.recipeArch?.(image);
    const fits = await Promise.all(images.map(async (image) => (await archOf(image)) !== 'amd64'));
    return images.filter((_, index) => fits[index]);
  }

  /** A program of a machine asked DHCP where to boot from. */
  announce(stage: BootStage): void {
    this.boots.announce(stage);
  }

  /** Which generation a node gets this file from. */
  pin(node: Node, name: string): BootPin | undefined {
    return this.boots.pin(node, name);
  }

  /**
   * Points the image's channel at a sealed generation that is whole; see {@link Publishing.move}.
   * @throws Refusal when there is no such generation, or it is damaged, or its root cannot be exported: then nothing has
   * changed.
   */
  publish(image: string, generationId: string): Promise<Published> {
    return this.#moveTo(() => this.channels.find(image, generationId), 'published');
  }

  /** Back to the generation published before this one, or to the one named. @throws Refusal as {@link publish} does. */
  rollback(image: string, to?: string): Promise<Published> {
    return this.#moveTo(() => this.rollbackTarget(image, to), 'rolled back');
  }

  /** What {@link rollback} would go back to. @throws Refusal when there is none. */
  rollbackTarget(image: string, to?: string): StoredGeneration {
    if (to === undefined) return this.channels.findBefore(image);
    const generation = this.channels.find(image, to);
    if (this.#view.published.get(image)?.id !== to) return generation;
    throw new Refusal(`${to} is what image "${image}" stands for already`, 'See "netboot images".');
  }

  /** Reading the files takes a while, in which nobody has to wait. */
  async #moveTo(find: () => StoredGeneration, kind: 'published' | 'rolled back'): Promise<Published> {
    await this.#publishing.refresh();
    await this.#publishing.checkWhole(find());
    return this.#inTurn(() => this.#publishing.move(find(), kind));
  }

  /** What becomes of each generation when images are pruned. */
  async retention(): Promise<Verdict[]> {
    await this.#publishing.refresh();
    return this.#publishing.verdicts();
  }

  /** See {@link Publishing.withdraw}. */
  withdraw(request: WithdrawRequest = {}): Promise<Withdrawn[]> {
    return this.#inTurn(() => this.#publishing.withdraw(request));
  }

  /** Generations that were withdrawn have been deleted. */
  forget(ids: readonly string[]): Promise<string[]> {
    return this.#inTurn(() => this.#publishing.forget(ids));
  }

  /** Raises a warning for every image whose generation is damaged or gone, and takes back those that are over. */
  inspectGenerations(warnings: WarningSink): Promise<void> {
    return this.#inTurn(() => this.#publishing.inspect(warnings));
  }

  /** The interfaces have other addresses now. */
  setNetworks(networks: ReadonlyMap<string, Network>): Promise<void> {
    return this.#inTurn(async () => {
      this.#networks = networks;
      this.#show(this.#nodes, this.#view.revision);
      await this.reconcileExports();
      this.#exportedNetworks = networks;
    });
  }

  /** Brings the NFS exports to what the view wants. */
  reconcileExports(): Promise<void> {
    return this.#publishing.reconcileExports();
  }

  async #putNode(node: Node, kind: 'node added' | 'node changed'): Promise<{ node: Node; revision: number }> {
    const revision = await this.#ports.store.transact({
      writes: [{ kind: 'put', key: nodeKey(node.serial), value: node }],
    });
    this.#show(new Map(this.#nodes).set(node.serial, node), revision);
    this.#tell(kind, node);
    return { node, revision };
  }

  #tell(kind: 'node added' | 'node changed' | 'node removed', { serial, name, image }: Node): void {
    this.events.tell({ kind, serial, name, image });
  }

  #show(nodes: ReadonlyMap<Serial, Node>, revision: number): void {
    this.#nodes = nodes;
    this.#view = this.#makeView(revision);
  }

  #makeView(revision: number): BootView {
    return buildView({
      revision,
      networks: this.#networks,
      nodes: this.#nodes.values(),
      published: this.channels.published(),
      gone: this.channels.gone(),
      policy: this.#config.nodes,
      httpPort: this.#config.http.port === 'off' ? undefined : this.#config.http.port,
      exportsFolder: this.#config.nfs.exports,
    });
  }
}

/** A node without the values that are absent or taken away, as the strict types and the store want it. */
function withoutGaps(node: { [K in keyof Node]: Node[K] | null | undefined }): Node {
  return Object.fromEntries(
    Object.entries(node).filter(([, value]) => value !== undefined && value !== null),
  ) as Node;
}
