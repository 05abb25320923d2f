import { NO_ROLE, type Node, type NodeSettings, nodeSettingsSchema, type OwnNode } from '../model/node.ts';
import { ROOT_DEFAULTS, type RootSettings, settleRoot } from '../model/root-mode.ts';
import type { Serial } from '../net/serial.ts';

/** A group of nodes with settings in common. */
export interface Profile {
  readonly name: string;
  readonly settings: NodeSettings;
}

const MOST_NAMED = 10;

/** The nodes and profiles as people gave them, and the nodes that come of them. */
export interface Members {
  readonly own: ReadonlyMap<Serial, OwnNode>;
  readonly profiles: ReadonlyMap<string, Profile>;
  /** Without those for which nobody names an image. */
  readonly nodes: ReadonlyMap<Serial, Node>;
}

/** Who says a value: the node itself, `profile web-rack`, its image (of how it has its root), or nobody. */
export type Origin = 'node' | `profile ${string}` | 'image' | 'default';

/** Node over profile over default. `undefined` when nobody names an image. */
export function resolveNode(
  own: OwnNode,
  profile: Profile | undefined,
  defaultImage: string | undefined,
): Node | undefined {
  const settings = profile?.settings;
  const image = own.image ?? settings?.image ?? defaultImage;
  if (image === undefined) return undefined;
  const { serial, name, ...others } = own;
  const { role, ...node } = { serial, name, ...settings, ...others, image };
  return role === undefined || role === NO_ROLE ? node : { ...node, role };
}

export function makeMembers(
  own: ReadonlyMap<Serial, OwnNode>,
  profiles: ReadonlyMap<string, Profile>,
  defaultImage: string | undefined,
): Members {
  const nodes = new Map<Serial, Node>();
  for (const each of own.values()) putResolved(nodes, each, profiles, defaultImage);
  return { own, profiles, nodes };
}

/** With that node in place of the one of its serial number. */
export function withNode(members: Members, node: OwnNode, defaultImage: string | undefined): Members {
  const nodes = new Map(members.nodes);
  putResolved(nodes, node, members.profiles, defaultImage);
  return { ...members, own: new Map(members.own).set(node.serial, node), nodes };
}

export function withoutNode(members: Members, serial: Serial): Members {
  const [own, nodes] = [new Map(members.own), new Map(members.nodes)];
  own.delete(serial);
  nodes.delete(serial);
  return { ...members, own, nodes };
}

/** With that profile in place of the one of its name: all its nodes have it at once, the others are as they were. */
export function withProfile(members: Members, profile: Profile, defaultImage: string | undefined): Members {
  const profiles = new Map(members.profiles).set(profile.name, profile);
  const nodes = new Map(members.nodes);
  for (const each of nodesOfProfile(members, profile.name)) putResolved(nodes, each, profiles, defaultImage);
  return { ...members, profiles, nodes };
}

export function withoutProfile(members: Members, name: string): Members {
  const profiles = new Map(members.profiles);
  profiles.delete(name);
  return { ...members, profiles };
}

export function nodesOfProfile({ own }: Members, name: string): OwnNode[] {
  return [...own.values()].filter(({ profile }) => profile === name);
}

/** The first ten, and how many there are beside them. */
export function namesOf(nodes: readonly OwnNode[]): string {
  const names = nodes.slice(0, MOST_NAMED).map(({ name }) => name);
  const more = nodes.length - names.length;
  return `${names.join(', ')}${more > 0 ? ` and ${more} more nodes` : ''}`;
}

function putResolved(
  nodes: Map<Serial, Node>,
  own: OwnNode,
  profiles: ReadonlyMap<string, Profile>,
  defaultImage: string | undefined,
): void {
  const profile = own.profile === undefined ? undefined : profiles.get(own.profile);
  const node = resolveNode(own, profile, defaultImage);
  if (node) nodes.set(own.serial, node);
  else nodes.delete(own.serial);
}

/** All that a node is set to, and who says each value. */
export interface Settled {
  readonly settings: NodeSettings;
  readonly origins: { readonly [K in keyof NodeSettings]: Origin };
}

/**
 * @param imageRoot what the generation says that the node boots.
 * The size of a memory or disk that its kind of root has not got is left out, unless somebody gave it.
 */
export function settle(
  own: OwnNode,
  profile: Profile | undefined,
  defaultImage: string | undefined,
  imageRoot: RootSettings | undefined,
): Settled {
  const image = own.image ?? profile?.settings.image ?? defaultImage;
  const told = { ...profile?.settings, ...definedOf(own), image };
  const root = settleRoot(told, imageRoot);
  const all: NodeSettings = { ...told, root: root.root, nfs: root.nfs };
  if (root.root === 'overlay') all.memory = root.memory;
  if (root.root === 'private') all.disk = root.disk;
  const originOf = (key: keyof NodeSettings): Origin => {
    if (own[key] !== undefined) return 'node';
    if (profile?.settings[key] !== undefined) return `profile ${profile.name}`;
    return imageRoot !== undefined &&
      key in ROOT_DEFAULTS &&
      imageRoot[key as keyof RootSettings] !== undefined
      ? 'image'
      : 'default';
  };
  const keys = SETTINGS.filter((key) => all[key] !== undefined);
  return {
    settings: Object.fromEntries(keys.map((key) => [key, all[key]])),
    origins: Object.fromEntries(keys.map((key) => [key, originOf(key)])),
  };
}

const SETTINGS = Object.keys(nodeSettingsSchema.shape) as (keyof NodeSettings)[];

const definedOf = (own: OwnNode): NodeSettings =>
  Object.fromEntries(SETTINGS.flatMap((key) => (own[key] === undefined ? [] : [[key, own[key]]])));
