import type { BootView } from '../model/boot-view.ts';
import { Refusal } from '../model/command.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Log } from '../model/log.ts';
import { type Node, type OwnNode, ownNodeSchema } from '../model/node.ts';
import type { oneAtATime } from '../model/one-at-a-time.ts';
import type { Sighting } from '../model/sighting.ts';
import { throttle } from '../model/throttle.ts';
import { type Mac, parseMac } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';
import type { Choices } from './choices.ts';
import type { FileChanges, NodeFiles } from './node-files.ts';
import { checkNode, clash, defaultName, findProfile, noImage, serialForMac } from './node-rules.ts';
import { type Settled, settle, withNode, withoutNode } from './resolve.ts';
import { nodeKey, type Roster } from './roster.ts';
import type { Sightings } from './sightings.ts';
import type { Write } from './store.ts';

const MAC_LINES_INTERVAL_MS = 1000;

/** A node as asked for: what is left out it has of its profile or by default. A machine that is no Pi has a MAC in place of a serial. */
export type NodeRequest = { [K in keyof OwnNode]?: OwnNode[K] | undefined } & {
  readonly files?: FileChanges | undefined;
};

/** Changes to a node; `null` takes a value of its own away. */
export type NodeChange = { [K in Exclude<keyof OwnNode, 'serial'>]?: OwnNode[K] | null | undefined } & {
  readonly files?: FileChanges | undefined;
};

export interface ChangedNode {
  readonly node: Node;
  readonly revision: number;
}

export interface NodesPorts {
  readonly roster: Roster;
  readonly files: NodeFiles;
  readonly sightings: Sightings;
  readonly view: () => BootView;
  readonly choices: () => Promise<Choices>;
  /** What a node boots next. */
  readonly intended: (node: Node) => StoredGeneration | undefined;
  /** One verb after the other: each checks against what the one before it left. */
  readonly inTurn: ReturnType<typeof oneAtATime>;
  /** @throws Refusal while a node may be writing to what is not served without it. */
  readonly checkIdle: (node: Node) => void;
  /** Who changes a node may have mended it: what is stored with that. */
  readonly retrial: (serial: Serial) => Write[];
  readonly log: Log;
}

/** The nodes: who is served, and by which values of its own. */
export class Nodes {
  readonly #ports: NodesPorts;
  readonly #alongWith: ((serial: Serial) => readonly Write[])[] = [];
  /** Nodes whose first MAC is being stored. */
  readonly #learning = new Set<Serial>();
  /** Who invents MACs for a serial must not fill the log. */
  readonly #otherMacs = throttle(MAC_LINES_INTERVAL_MS, Date.now);
  readonly #lostMacs = throttle(MAC_LINES_INTERVAL_MS, Date.now);

  constructor(ports: NodesPorts) {
    this.#ports = ports;
  }

  /** What else is stored of a node goes in the same transaction as the node. */
  takeAlong(writes: (serial: Serial) => readonly Write[]): void {
    this.#alongWith.push(writes);
  }

  /** The node meant by a serial in its wire form, a MAC, or a name. @throws Refusal when there is none. */
  find(reference: string): Node {
    const { serial, name } = this.#findOwn(reference);
    const node = this.#ports.roster.members().nodes.get(serial);
    if (node) return node;
    throw new Refusal(`Node ${name} has no image`, `Give it one: netboot set-node ${serial} --image IMAGE`);
  }

  #findOwn(reference: string): OwnNode {
    const { own } = this.#ports.roster.members();
    const found = own.get(reference as Serial) ?? [...own.values()].find(({ name }) => name === reference);
    const serialByMac = () => this.#ports.view().nodesByMac.get(parseMac(reference) as Mac)?.serial;
    const node = found ?? own.get(serialByMac() as Serial);
    if (node) return node;
    throw new Refusal(
      `There is no node "${reference}"`,
      'See "netboot nodes", or add it: netboot add-node <serial>',
    );
  }

  /** All that a node is set to, and who says each value. @throws Refusal when there is no such node. */
  settled(reference: string): Settled {
    const { roster } = this.#ports;
    const own = this.#findOwn(reference);
    const node = roster.members().nodes.get(own.serial);
    const profile = own.profile === undefined ? undefined : roster.members().profiles.get(own.profile);
    return settle(own, profile, roster.defaultImage, node && this.#ports.intended(node)?.node);
  }

  /** @throws Refusal when it is there already, or clashes with another node. */
  add({ files, ...request }: NodeRequest): Promise<ChangedNode> {
    const { roster, sightings, view, inTurn } = this.#ports;
    return inTurn(async () => {
      const serial = request.serial ?? serialForMac(request.mac);
      const { own } = roster.members();
      const present = own.get(serial);
      if (present) throw clash(serial, present, request);
      const profile =
        request.profile === undefined ? undefined : findProfile(roster.members(), request.profile);
      const choices = await this.#ports.choices();
      const isNamed = request.image ?? profile?.settings.image ?? roster.defaultImage;
      const image = request.image ?? (isNamed === undefined ? this.#onlyImage(choices, request) : undefined);
      const seen = sightings.bySerial(serial);
      const mac = request.mac ?? (seen && !view().nodesByMac.has(seen.mac) ? seen.mac : undefined);
      const name = request.name ?? defaultName(serial, request.serial ? undefined : mac);
      return this.#put(withoutGaps({ ...request, serial, name, image, mac }), choices, files);
    });
  }

  set(reference: string, { files, ...change }: NodeChange): Promise<ChangedNode> {
    return this.#ports.inTurn(async () => {
      const present = this.#findOwn(reference);
      const defined = Object.entries(change).filter(([, value]) => value !== undefined);
      const asked = { ...present, ...Object.fromEntries(defined) } as Gapped;
      const node = withoutGaps({
        ...asked,
        name: asked.name ?? defaultName(present.serial, asked.mac ?? undefined),
      });
      return this.#put(node, await this.#ports.choices(), files);
    });
  }

  /** @throws Refusal while it may be writing to disks of its own, and `force` is not given. */
  remove(reference: string, { force = false } = {}): Promise<ChangedNode> {
    const { roster, files, inTurn } = this.#ports;
    return inTurn(async () => {
      const own = this.#findOwn(reference);
      const { serial } = own;
      const node = roster.members().nodes.get(serial) ?? { ...own, image: '' };
      if (!force) this.#ports.checkIdle(node);
      const along = this.#alongWith.flatMap((writesFor) => writesFor(serial));
      const writes: Write[] = [
        { kind: 'delete', key: nodeKey(serial) },
        ...files.removal({ kind: 'node', name: serial }),
        ...along,
      ];
      const revision = await roster.change(withoutNode(roster.members(), serial), writes, [serial]);
      return { node, revision };
    });
  }

  /** A machine asked to boot. A node's first sighting tells its MAC, by which its later, serial-less stages are known. */
  see(sighting: Sighting): void {
    const { sightings, roster, view, log } = this.#ports;
    sightings.record(sighting);
    const node = sighting.serial && roster.members().own.get(sighting.serial);
    if (!node || node.mac === sighting.mac) return;
    if (node.mac || view().nodesByMac.has(sighting.mac)) {
      this.#otherMacs((left) =>
        log.warn(
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
    const { roster, view, inTurn, log } = this.#ports;
    this.#learning.add(serial);
    try {
      await inTurn(async () => {
        const present = roster.members().own.get(serial);
        if (!present || present.mac || view().nodesByMac.has(mac)) return;
        await this.#store({ ...present, mac }, []);
      });
    } catch (error) {
      this.#lostMacs((left) =>
        log.error({ id: 'NODE_MAC_LOST', serial, err: error, left }, 'the MAC of a node could not be stored'),
      );
    } finally {
      this.#learning.delete(serial);
    }
  }

  /** @throws Refusal when there is none, or more than one. */
  #onlyImage({ images, imagesForPis }: Choices, { serial }: NodeRequest): string {
    const fitting = serial ? imagesForPis : images;
    // Of what is built only for Pis: what another machine needs, nobody knows.
    const built = serial ? fitting.filter((image) => this.#ports.view().published.has(image)) : [];
    const only = [fitting, built].find(({ length }) => length === 1)?.[0];
    if (only === undefined) throw noImage(images);
    return only;
  }

  async #put(own: OwnNode, choices: Choices, changes: FileChanges | undefined): Promise<ChangedNode> {
    const { files, roster, retrial } = this.#ports;
    checkNode(roster.members(), own, roster.defaultImage, choices);
    const writes = files.change({ kind: 'node', name: own.serial }, changes ?? {}, [own]);
    return this.#store(own, [...writes, ...retrial(own.serial)]);
  }

  async #store(own: OwnNode, writes: readonly Write[]): Promise<ChangedNode> {
    const { roster } = this.#ports;
    const put: Write = { kind: 'put', key: nodeKey(own.serial), value: own };
    const next = withNode(roster.members(), own, roster.defaultImage);
    const revision = await roster.change(next, [put, ...writes], [own.serial]);
    return { node: this.find(own.serial), revision };
  }
}

type Gapped = { [K in keyof OwnNode]: OwnNode[K] | null | undefined };

/** A node without the values that are absent or taken away, as the strict types and the store want it. */
function withoutGaps(node: Gapped): OwnNode {
  const given = Object.entries(node).filter(([, value]) => value !== undefined && value !== null);
  return ownNodeSchema.parse(Object.fromEntries(given));
}
