import { z } from 'zod';
import { nameSchema, nodeSettingsSchema, ownNodeSchema } from '../model/node.ts';
import type { WarningSink } from '../model/warnings.ts';
import type { Serial } from '../net/serial.ts';
import type { EventHub } from './events.ts';
import { type Members, makeMembers, namesOf } from './resolve.ts';
import type { Store, Write } from './store.ts';

const WITHOUT_IMAGE = 'NODE_WITHOUT_IMAGE';

const profileSchema = z.strictObject({ name: nameSchema, settings: nodeSettingsSchema });

export const nodeKey = (serial: Serial): string => `node/${serial}`;
export const profileKey = (name: string): string => `profile/${name}`;

export interface RosterPorts {
  readonly store: Store;
  readonly events: EventHub;
  /** `nodes.defaultImage` of the configuration. */
  readonly defaultImage: string | undefined;
  /** Makes a new view of what the members are now. */
  readonly show: (revision: number) => void;
}

/** The nodes and profiles, in memory as they are in the store. */
export class Roster {
  readonly defaultImage: string | undefined;
  readonly #ports: RosterPorts;
  #members: Members;

  constructor(ports: RosterPorts) {
    this.#ports = ports;
    this.defaultImage = ports.defaultImage;
    const own = ports.store.list('node/').map(({ value }) => ownNodeSchema.parse(value));
    const profiles = ports.store.list('profile/').map(({ value }) => profileSchema.parse(value));
    this.#members = makeMembers(
      new Map(own.map((node) => [node.serial, node])),
      new Map(profiles.map((profile) => [profile.name, profile])),
      ports.defaultImage,
    );
  }

  /** Warns of nodes that are not served, as nobody names their image any more, until somebody does. */
  inspect(warnings: WarningSink): void {
    const { own, nodes } = this.#members;
    const lost = [...own.values()].filter(({ serial }) => !nodes.has(serial));
    const [first] = lost;
    if (!first) {
      warnings.clear(WITHOUT_IMAGE);
      return;
    }
    const text = `${namesOf(lost)} ${lost.length === 1 ? 'is' : 'are'} not served: nobody names an image, now that nodes.defaultImage is gone`;
    warnings.raise(WITHOUT_IMAGE, `${text}. Name one: netboot set-node ${first.serial} --image IMAGE`);
  }

  members(): Members {
    return this.#members;
  }

  /** One transaction; then all of it is seen at once, and told of each node that it touches. */
  async change(next: Members, writes: readonly Write[], touched: Iterable<Serial>): Promise<number> {
    const revision = await this.#ports.store.transact({ writes });
    const before = this.#members;
    this.#members = next;
    this.#ports.show(revision);
    for (const serial of touched) {
      const kind = !next.own.has(serial)
        ? 'node removed'
        : before.own.has(serial)
          ? 'node changed'
          : 'node added';
      const node = next.own.get(serial) ?? before.own.get(serial);
      const image = (next.nodes.get(serial) ?? before.nodes.get(serial))?.image ?? '';
      if (node) this.#ports.events.tell({ kind, serial, name: node.name, image });
    }
    return revision;
  }
}
