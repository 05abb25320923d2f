import { isDeepStrictEqual } from 'node:util';
import { Refusal } from '../model/command.ts';
import { type NodeSettings, nodeSettingsSchema, type OwnNode } from '../model/node.ts';
import type { oneAtATime } from '../model/one-at-a-time.ts';
import type { Serial } from '../net/serial.ts';
import type { Choices } from './choices.ts';
import type { FileChanges, FileOwner, NodeFiles } from './node-files.ts';
import { checkSettings, findProfile, noImage } from './node-rules.ts';
import {
  type Members,
  namesOf,
  nodesOfProfile,
  type Profile,
  withoutProfile,
  withProfile,
} from './resolve.ts';
import { profileKey, type Roster } from './roster.ts';
import type { Write } from './store.ts';

/** Changes to a profile; `null` takes a value away. */
export type ProfileChange = { [K in keyof NodeSettings]?: NodeSettings[K] | null | undefined } & {
  readonly files?: FileChanges | undefined;
};

export interface ProfilesPorts {
  readonly roster: Roster;
  readonly files: NodeFiles;
  readonly choices: () => Promise<Choices>;
  readonly inTurn: ReturnType<typeof oneAtATime>;
  /** Who changes a node may have mended it: what is stored with that. */
  readonly retrial: (serial: Serial) => Write[];
}

/** Groups of nodes: what is set of a profile, all of its nodes have that do not say otherwise. */
export class Profiles {
  readonly #ports: ProfilesPorts;

  constructor(ports: ProfilesPorts) {
    this.#ports = ports;
  }

  /** In the order of their names. */
  all(): Profile[] {
    return [...this.#members().profiles.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws Refusal when there is none of that name. */
  find(name: string): Profile {
    return findProfile(this.#members(), name);
  }

  nodesOf(name: string): OwnNode[] {
    return nodesOfProfile(this.#members(), name);
  }

  /**
   * Changes a profile, or makes it, and with it all of its nodes at once.
   * @throws Refusal when one of them could not be so: then nothing has changed.
   */
  set(
    name: string,
    { files: changes = {}, ...change }: ProfileChange,
  ): Promise<{ profile: Profile; isNew: boolean; revision: number }> {
    const { roster, files, inTurn } = this.#ports;
    return inTurn(async () => {
      const before = this.#members();
      const present = before.profiles.get(name);
      const settings = applied(present?.settings ?? {}, change);
      const profile: Profile = { name, settings };
      const next = withProfile(before, profile, roster.defaultImage);
      const choices = await this.#ports.choices();
      checkSettings(settings, choices, { before: present?.settings });
      const nodes = nodesOfProfile(next, name);
      checkNodes(name, nodes, before, next, choices);
      const writes: Write[] = [
        { kind: 'put', key: profileKey(name), value: profile },
        ...files.change(ownerOf(name), changes, nodes),
        ...nodes.flatMap(({ serial }) => this.#ports.retrial(serial)),
      ];
      const hasFiles = Object.keys(changes).length > 0;
      const touched = nodes.filter(
        ({ serial }) => hasFiles || !isDeepStrictEqual(before.nodes.get(serial), next.nodes.get(serial)),
      );
      const serials = touched.map(({ serial }) => serial);
      const revision = await roster.change(next, writes, serials);
      return { profile, isNew: !present, revision };
    });
  }

  /** @throws Refusal while nodes have it. */
  remove(name: string): Promise<{ profile: Profile; revision: number }> {
    const { roster, files, inTurn } = this.#ports;
    return inTurn(async () => {
      const profile = this.find(name);
      const nodes = this.nodesOf(name);
      if (nodes.length > 0) {
        throw new Refusal(
          `Profile "${name}" is that of ${namesOf(nodes)}`,
          'Give them another one first: netboot set-node NODE --profile OTHER, or --profile= for none.',
        );
      }
      const writes: Write[] = [{ kind: 'delete', key: profileKey(name) }, ...files.removal(ownerOf(name))];
      return { profile, revision: await roster.change(withoutProfile(this.#members(), name), writes, []) };
    });
  }

  #members(): Members {
    return this.#ports.roster.members();
  }
}

const ownerOf = (name: string): FileOwner => ({ kind: 'profile', name });

function applied(settings: NodeSettings, change: ProfileChange): NodeSettings {
  const defined = Object.entries(change).filter(([, value]) => value !== undefined);
  const all = Object.entries({ ...settings, ...Object.fromEntries(defined) });
  return nodeSettingsSchema.parse(Object.fromEntries(all.filter(([, value]) => value !== null)));
}

/** @throws Refusal with the first node that could not be so, and how many more there are. */
function checkNodes(
  profile: string,
  nodes: readonly OwnNode[],
  before: Members,
  next: Members,
  choices: Choices,
): void {
  const failed: { name: string; refusal: Refusal }[] = [];
  for (const own of nodes) {
    const { serial, name } = own;
    try {
      const node = next.nodes.get(serial);
      if (!node) throw noImage(choices.images);
      checkSettings(node, choices, { own, node, before: before.nodes.get(serial) });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      failed.push({ name, refusal: error });
    }
  }
  const [first, ...others] = failed;
  if (!first) return;
  const more = others.length > 0 ? ` and ${others.length} more` : '';
  const { problem, remedy } = first.refusal;
  throw new Refusal(`Node "${first.name}"${more} of profile "${profile}" cannot be so: ${problem}`, remedy);
}
