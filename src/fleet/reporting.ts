import { randomBytes } from 'node:crypto';
import { type BootView, nodeByMac } from '../model/boot-view.ts';
import { Refusal } from '../model/command.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Instant } from '../model/lease.ts';
import type { Log } from '../model/log.ts';
import type { Network } from '../model/network.ts';
import type { Node } from '../model/node.ts';
import type { NodeFile } from '../model/node-file.ts';
import { SILENT_MS } from '../model/node-state.ts';
import type {
  IdentityOutcome,
  IdentityRequest,
  Order,
  Report,
  ReportMessage,
  ReportOutcome,
  Sender,
} from '../model/report.ts';
import { throttle } from '../model/throttle.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Serial } from '../net/serial.ts';
import { subnetContains } from '../net/subnet.ts';
import type { Addresses } from './addresses.ts';
import type { EventHub } from './events.ts';
import { Identities, type MakeHostKey } from './identities.ts';
import { Orders, type SendOptions } from './orders.ts';
import { Redeemed, ReportKeys } from './report-keys.ts';
import type { Store, Write } from './store.ts';
import type { Tokens } from './tokens.ts';

/** From the first boot file to the request for the identity: minutes, of a rack that boots at once. */
const TOKEN_MS = 30 * 60_000;
const TROUBLE_INTERVAL_MS = 60_000;
/** Of TCP: what is above, every user may have. */
const LAST_ROOT_PORT = 1023;
const NOT_ROOT =
  'its identity was asked for by a program that is not root; if it was its boot, its image is of an older netboot: build it anew';
/** Any system has it. */
const PLAIN_TARGET = 'multi-user.target';

export interface ReportingPorts {
  readonly store: Store;
  readonly log: Log;
  readonly tokens: Tokens;
  /** Without it, no node gets an identity. */
  readonly makeHostKey?: MakeHostKey;
  readonly view: () => BootView;
  /** Where nodes are, and who is where. */
  readonly addresses: Pick<Addresses, 'addressOf' | 'isKnownAs' | 'located' | 'macOf'>;
  readonly filesOf: (node: Node) => readonly NodeFile[];
  readonly generation: (id: string) => StoredGeneration | undefined;
  /** What a node runs, as far as the wire tells. */
  readonly given: (serial: Serial) => StoredGeneration | undefined;
  readonly onReport: (serial: Serial, report: Report) => void;
  /** It has got its identity: its root is mounted. */
  readonly onRedeemed?: (serial: Serial) => void;
  readonly events: EventHub;
  /** Milliseconds since the boot that began at `since`, as far as that is still the node's last one. */
  readonly ageOf: (serial: Serial, since: Instant) => number | undefined;
  readonly now?: () => Instant;
  /** Milliseconds of a clock that nobody sets. */
  readonly elapsed?: () => number;
}

/** What a request for the identity was signed with, and the address that it is for. */
interface Token {
  readonly text: string;
  readonly from: Ipv4;
}

/** What this run of the service has heard of a node, in the boot that it is in. */
interface Heard {
  /** Of its last report; a report that is not newer is refused. 0 before the first. */
  readonly seq: number;
  /** By the clock that nobody sets. */
  readonly at: number;
  readonly generation?: string;
}

/**
 * What nodes ask and tell, and are told: their identity once in a boot, reports, orders. Nothing is believed that is not
 * signed with the key of that very node and boot, and nothing twice.
 */
export class Reporting {
  readonly identities: Identities;
  readonly #ports: ReportingPorts;
  readonly #keys: ReportKeys;
  readonly #orders: Orders;
  readonly #now: () => Instant;
  readonly #elapsed: () => number;
  /** Of this run of the service: what was recorded of an earlier one cannot be replayed to it. */
  readonly #run = randomBytes(8).toString('hex');
  readonly #begunAt: number;
  readonly #heard = new Map<Serial, Heard>();
  readonly #troubles = new Map<Serial, ReturnType<typeof throttle>>();
  /** Names of nodes that were removed in this run of the service. */
  readonly #gone = new Map<Serial, string>();

  constructor(ports: ReportingPorts) {
    this.#ports = ports;
    this.#now = ports.now ?? Date.now;
    this.#elapsed = ports.elapsed ?? (() => performance.now());
    this.#begunAt = this.#elapsed();
    this.identities = new Identities(ports.store, ports.makeHostKey ?? noHostKey);
    this.#keys = new ReportKeys(ports.store);
    this.#orders = new Orders({ silentFor: (serial) => this.#silentFor(serial), elapsed: this.#elapsed });
    ports.events.listen((event) => {
      if (event.kind === 'node added') this.#added(event.serial as Serial);
      if (event.kind === 'node removed') this.#removed(event.serial as Serial, event.name);
    });
  }

  /** What goes with a node, in the same transaction. */
  removal(serial: Serial): readonly Write[] {
    return [...this.identities.removal(serial), ...this.#keys.removal(serial)];
  }

  /** See {@link Orders.send}. */
  send(node: Node, order: Order, options?: SendOptions): Promise<void> {
    return this.#orders.send(node, order, options);
  }

  /** The public line of a node's SSH host key, which is made when it has none. */
  async knownKey(serial: Serial): Promise<string> {
    return (await this.identities.hostKey(serial)).publicKey;
  }

  /** Nodes that wait for an order now. */
  get waiting(): number {
    return this.#orders.waiting;
  }

  /**
   * The target that a person means by a role of the generation that the node runs, or by the target's own name.
   * @throws Refusal when its generation declares no such thing.
   */
  targetOf(node: Node, text: string): string {
    const reported = this.#ports.generation(this.#heard.get(node.serial)?.generation ?? '');
    const roles = (reported ?? this.#ports.given(node.serial))?.roles ?? {};
    const targets = Object.values(roles).map(({ target }) => target);
    const target = Object.hasOwn(roles, text) ? roles[text]?.target : text;
    if (target !== undefined && [...targets, PLAIN_TARGET].includes(target)) return target;
    const known = [...Object.keys(roles), ...targets, PLAIN_TARGET].join(', ');
    throw new Refusal(`What node ${node.name} runs has no role or target "${text}"`, `It has: ${known}.`);
  }

  async redeem(request: IdentityRequest, sender: Sender): Promise<IdentityOutcome> {
    const { serial, since } = request;
    const { address } = sender;
    const node = this.#node(serial);
    if (!node) return this.#refuseStranger(serial, address);
    // Any user of a node can read its token, or fetch one: as of NFS, only root is served (exports(5), `secure`).
    if (sender.port > LAST_ROOT_PORT) return this.#refuse(node, address, NOT_ROOT);
    const token = await this.#tokenOf(node, since, sender);
    if (!token)
      return this.#refuse(node, address, 'its identity was asked for without the token of its boot');
    // The time of day may have been set since, as on an appliance without a clock that has just found its time server.
    const age = this.#ports.ageOf(serial, since) ?? Math.abs(this.#now() - since);
    if (age > TOKEN_MS)
      return this.#refuse(
        node,
        address,
        'its identity was asked for more than 30 minutes after its boot began: it has to boot again',
      );
    const mac = await this.#ports.addresses.macOf(address);
    const owner = mac && nodeByMac(this.#ports.view(), mac);
    if (mac && (node.mac ? mac !== node.mac : owner && owner.serial !== serial))
      return this.#refuse(node, address, `its identity was asked for by another machine (${mac})`);
    const fault = !mac && this.#faultOfUnknown(node, address);
    if (fault) return this.#refuse(node, address, `its identity was asked for from ${fault}`);
    const hostKey = await this.identities.hostKey(serial);
    const reportKey = await this.#reportKey(request, token.from);
    if (reportKey === undefined)
      return this.#refuse(
        node,
        address,
        'its identity was asked for twice in one boot: it has to boot again',
      );
    void this.#ports.addresses.located(serial, address);
    const files = this.#ports.filesOf(node);
    const block = node.block?.path;
    return { kind: 'given', key: token.text, identity: { reportKey, run: this.#run, hostKey, files, block } };
  }

  async report(message: ReportMessage, sender: Sender, gone: AbortSignal): Promise<ReportOutcome> {
    const { serial, seq, report } = message;
    const { address } = sender;
    const node = this.#node(serial);
    if (!node) return this.#refuseStranger(serial, address);
    const key = this.#keys.current(serial);
    if (key === undefined)
      return this.#refuse(node, address, 'it reports without an identity from here: it has to boot again');
    if (!sender.isSignedWith(key))
      return this.#refuse(node, address, 'a report came that was not signed with the key of its boot');
    const run = this.#run;
    const last = this.#heard.get(serial)?.seq ?? 0;
    if (message.run !== run || seq <= last) return { kind: 'again', key, run, seq: last };
    this.#heard.set(serial, { seq, at: this.#elapsed(), generation: report.generation });
    this.#ports.onReport(serial, report);
    const given = await this.#orders.exchange(message, gone);
    const onSent = given && ((isWhole: boolean) => this.#orders.sent(serial, given, isWhole));
    return { kind: 'taken', key, run, given, onSent };
  }

  /** A node was added: it has its key when it boots. One that cannot be made now is made then. */
  #added(serial: Serial): void {
    this.#gone.delete(serial);
    this.identities.hostKey(serial).catch((error: unknown) => {
      if (!this.#node(serial)) return;
      this.#ports.log.error({ id: 'HOST_KEY_FAILED', serial, err: error }, 'no SSH host key could be made');
    });
  }

  #removed(serial: Serial, name: string): void {
    this.#keys.forget(serial);
    this.#heard.delete(serial);
    this.#gone.set(serial, name);
    this.#orders.removed({ serial, name });
  }

  #node(serial: Serial): Node | undefined {
    return this.#ports.view().nodes.get(serial);
  }

  /**
   * The token that a request for the identity is signed with: the one for where it comes from, or for where the node's own
   * MAC fetched its boot files, when that same MAC asks. DHCP servers other than ours may give a kernel another address
   * than its firmware; it is there from its first request on, and may have to ask again.
   */
  async #tokenOf(node: Node, since: Instant, { address, isSignedWith }: Sender): Promise<Token | undefined> {
    const { tokens, addresses } = this.#ports;
    const { serial, mac } = node;
    for (const from of [address, addresses.addressOf(node), this.#keys.from(serial, since)]) {
      const text = from === undefined ? undefined : tokens.tokenOf(serial, from, since);
      if (from === undefined || text === undefined || !isSignedWith(text)) continue;
      const isIts = from === address || (mac !== undefined && (await addresses.macOf(address)) === mac);
      return isIts ? { text, from } : undefined;
    }
    return undefined;
  }

  /**
   * Where neither a lease nor ARP tells a MAC, there is a router between; on a wire of ours ARP knows everybody but ourselves.
   * Its own lease tells that a node is there, also when that has run out, as kernels renew none; where another server gives
   * the addresses, that one is reserved for it.
   */
  #faultOfUnknown(node: Node, address: Ipv4): string | undefined {
    const networks = [...this.#ports.view().networks.values()];
    const networkOf = (all: readonly Network[]) => all.find(({ subnet }) => subnetContains(subnet, address));
    if (networkOf(networks)) return undefined;
    const network = networkOf(networks.flatMap(({ relayed = [] }) => relayed));
    // Roots are exported to these networks alone, so that no node is elsewhere.
    if (!network) return 'a network that is not served (interfaces, relayed)';
    if (this.#ports.addresses.isKnownAs(address, node)) return undefined;
    const [what, remedy] =
      network.dhcp === 'full'
        ? ['was not given', 'it has to get its address by DHCP from here']
        : [
            'has not reserved',
            `reserve one in the DHCP server there, and say which: netboot set-node ${node.name} --ip ADDRESS`,
          ];
    return `behind a router, from an address that it ${what}: ${remedy}`;
  }

  /** `undefined` when somebody else has got the one for this boot. */
  async #reportKey(request: IdentityRequest, from: Ipv4): Promise<string | undefined> {
    const { serial } = request;
    const before = this.#keys.current(serial);
    const isLastBoot = (since: Instant) => this.#ports.ageOf(serial, since) !== undefined;
    try {
      const key = await this.#keys.redeem(request, { from, isLastBoot, now: this.#now() });
      if (key === before) return key;
      this.#heard.set(serial, { seq: 0, at: this.#elapsed() });
      this.#orders.booted(serial);
      this.#ports.onRedeemed?.(serial);
      return key;
    } catch (error) {
      if (error instanceof Redeemed) return undefined;
      throw error;
    }
  }

  /** After a restart of the service every node that had a key is given the time to report again. */
  #silentFor(serial: Serial): number | undefined {
    const heard = this.#heard.get(serial);
    if (heard) return this.#elapsed() - heard.at;
    if (this.#keys.current(serial) === undefined) return undefined;
    const sinceStart = this.#elapsed() - this.#begunAt;
    return sinceStart < SILENT_MS ? 0 : sinceStart;
  }

  #refuseStranger(serial: Serial, address: Ipv4): IdentityOutcome & ReportOutcome {
    const name = this.#gone.get(serial);
    if (name === undefined) return refused(`there is no node ${serial} here`);
    return this.#refuse({ serial, name }, address, 'it was removed, and runs on');
  }

  #refuse(node: Pick<Node, 'serial' | 'name'>, address: Ipv4, text: string): IdentityOutcome & ReportOutcome {
    const { serial, name } = node;
    const emit = this.#troubles.get(serial) ?? throttle(TROUBLE_INTERVAL_MS, this.#elapsed);
    this.#troubles.set(serial, emit);
    emit((leftOut) => {
      const more = leftOut > 0 ? `; ${leftOut} more like that since the last time` : '';
      this.#ports.events.tell({
        kind: 'node trouble',
        serial,
        name,
        text: `${text} (from ${address}${more})`,
      });
    });
    return refused(text);
  }
}

const noHostKey: MakeHostKey = async () => {
  throw new Refusal('This service makes no host keys', 'Nodes make their own at each boot.');
};

const refused = (reason: string) => ({ kind: 'refused' as const, reason });
