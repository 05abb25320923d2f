import type { FileFacts } from '../fleet/node-files.ts';
import type { Profile, Settled } from '../fleet/resolve.ts';
import type { Rollout, Step } from '../fleet/rollout/rollout.ts';
import type { NodeSettings } from '../model/node.ts';
import type { NodeState } from '../model/node-state.ts';
import type { Report } from '../model/report.ts';

/** What the API gives, in one place: the command line is typed by it. What it takes is in node-schemas.ts. */

export interface NodeStatus {
  readonly serial: string;
  readonly name: string;
  readonly state: NodeState;
  /** Why, where the state alone does not tell. */
  readonly detail?: string | undefined;
  /** ISO 8601, UTC: when it came to this state; absent of a node that was never heard of. */
  readonly since?: string | undefined;
  /** Of its boot files, while it loads: what it has got, and what its board fetches in all. */
  readonly bytes?: number | undefined;
  readonly ofBytes?: number | undefined;
  /** Something is published of its image. */
  readonly isImageBuilt: boolean;
  readonly mac?: string | undefined;
  /** The reserved address, or the one it has from the pool. */
  readonly ip?: string | undefined;
  /** Where it is: a reserved address may be one that it has not booted with yet. */
  readonly address?: string | undefined;
  readonly image: string;
  readonly profile?: string | undefined;
  readonly role?: string | undefined;
  readonly tftpPrefix?: string | undefined;
  readonly ramdisk?: boolean | undefined;
  readonly root?: NodeSettings['root'];
  readonly memory?: string | undefined;
  readonly disk?: string | undefined;
  readonly nfs?: NodeSettings['nfs'];
  readonly block?: NodeSettings['block'];
  readonly power?: string | undefined;
  readonly outlet?: string | undefined;
  /** Of one node alone: who says each setting. */
  readonly origins?: Settled['origins'];
  /** Of one node alone: the public line of its SSH host key. */
  readonly hostKey?: string | undefined;
  /** Of one node alone: the files that no image holds. */
  readonly files?: ReadonlyArray<FileFacts & { readonly origin: string }>;
  /** The generation that it runs, by its own word or as its kernel was fetched. */
  readonly runs?: string | undefined;
  /** The one that it is to boot: its own, else what is published of its image. */
  readonly generation?: string | undefined;
  /** It failed with that one so often that it boots this one. */
  readonly fallsBackTo?: string | undefined;
  /** What it booted last. */
  readonly boots?: string | undefined;
  /** ISO 8601, UTC. */
  readonly bootedAt?: string | undefined;
  /** ISO 8601, UTC: when its firmware last asked, since the service started. */
  readonly lastSeen?: string | undefined;
  /** The last one since the service started. */
  readonly report?: ReportStatus | undefined;
}

/** What a node said of itself. */
export interface ReportStatus extends Omit<Report, 'clock'> {
  /** ISO 8601, UTC: when it came. */
  readonly at: string;
  /** Seconds by which the node's clock is ahead of ours. */
  readonly clockOffset: number;
  /** `throttled` in words. */
  readonly throttling?: readonly string[] | undefined;
}

/** A machine that asked to boot and that nobody added. */
export interface WaitingStatus {
  readonly serial?: string | undefined;
  readonly mac: string;
  readonly machine: string;
  /** With `nodes.unknown: serve`: the image it boots all the same. */
  readonly boots?: string | undefined;
  /** The generation it booted last. */
  readonly booted?: string | undefined;
  readonly interface: string;
  readonly lastSeen: string;
}

export interface NodesAnswer {
  readonly nodes: readonly NodeStatus[];
  readonly waiting: readonly WaitingStatus[];
}

export interface NodeAnswer {
  readonly node: NodeStatus;
  readonly revision: number;
}

export interface RemovedAnswer extends NodeAnswer {
  /** The folder with what the node wrote: it is exported no more, and stays on the appliance. */
  readonly kept?: string | undefined;
}

export interface ProfileStatus extends Profile {
  readonly files: readonly FileFacts[];
  /** Names of the nodes that have it. */
  readonly nodes: readonly string[];
}

export interface ProfilesAnswer {
  readonly profiles: readonly ProfileStatus[];
}

export interface ProfileAnswer {
  readonly profile: ProfileStatus;
  /** It was made by this request. */
  readonly isNew?: boolean | undefined;
  readonly revision: number;
}

export interface ImageStatus {
  readonly image: string;
  readonly generation?: string | undefined;
  readonly sealedAt?: string | undefined;
  readonly rootBytes?: number | undefined;
  readonly bootBytes?: number | undefined;
  readonly roles: readonly string[];
  /** Nodes that boot it. */
  readonly nodes: number;
  /** Every sealed generation of it, newest first. */
  readonly sealed: readonly string[];
  /** Those of them that are not published, newest first. */
  readonly others: ReadonlyArray<{
    readonly id: string;
    readonly sealedAt: string;
    readonly rootBytes: number;
    readonly bootBytes: number;
    /** Why prune-images leaves it, in words; nothing when it does not. */
    readonly kept: readonly string[];
  }>;
}

export interface PublishAnswer {
  readonly revision: number;
  readonly generation: string;
  /** What the image stood for until now; absent when that is the same, or was none. */
  readonly before?: string | undefined;
}

export interface RollbackTargetAnswer {
  /** What the image would stand for. */
  readonly generation: string;
}

/** What becomes of each sealed generation when images are pruned. */
export type RetentionAnswer = ReadonlyArray<{
  readonly id: string;
  readonly image: string;
  readonly goes: boolean;
  /** Who uses it, in words. */
  readonly users: readonly string[];
  /** Why it stays although nobody uses it. */
  readonly reserve?: string | undefined;
}>;

/** Generations that are no longer exported nor to be published: their folders are to be deleted. */
export interface WithdrawnAnswer {
  readonly withdrawn: ReadonlyArray<{
    readonly id: string;
    readonly folder: string;
    readonly bytes: number;
  }>;
}

export interface DeletedAnswer {
  readonly deleted: readonly string[];
}

export interface ExportStatus {
  readonly path: string;
  readonly clients: readonly string[];
  readonly options: readonly string[];
  readonly problem?: string | undefined;
  /** What should be known of it, while it is served. */
  readonly remark?: string | undefined;
  /** Not all of it could be made yet; it is tried again. */
  readonly isIncomplete?: boolean | undefined;
}

export interface ResetAnswer {
  readonly serial: string;
  readonly name: string;
  /** On the appliance. */
  readonly path: string;
  readonly disks: readonly string[];
}

export interface LeaseStatus {
  readonly address: string;
  readonly mac: string;
  readonly state: string;
  readonly interface: string;
  readonly expires: string;
  readonly serial?: string | undefined;
  readonly hostname?: string | undefined;
}

export interface StatusAnswer {
  readonly version: string;
  readonly revision: number;
  readonly pid: number;
  readonly startedAt: string;
  readonly memoryBytes: number;
  readonly interfaces: ReadonlyArray<{
    interface: string;
    address: string;
    subnet: string;
    dhcp: string;
    /** Nobody is answered there yet: it is being looked for other DHCP servers. */
    isHeldBack: boolean;
  }>;
  readonly nfs: { readonly server: string; readonly exports: number; readonly problems: readonly string[] };
  readonly nodes: number;
  readonly waiting: number;
  readonly leases: number;
  /** What a person should look at now, the oldest first. */
  readonly warnings: ReadonlyArray<{ readonly id: string; readonly text: string; readonly since: string }>;
  /** What the service may not watch out for, in words: `eth0: spanning tree`. */
  readonly unwatched: readonly string[];
  /** How the TFTP engines are doing. */
  readonly tftp: {
    readonly workers: number;
    /** Large files that are sent at full speed, and those that wait for their turn. */
    readonly running: number;
    readonly waiting: number;
    readonly longestWaitMs: number;
    /** Of file data, over the last second. */
    readonly bytesPerSecond: number;
  };
  readonly counters: {
    readonly dhcp: Readonly<Record<string, number>>;
    readonly tftp: Readonly<Record<string, number>>;
    /** Absent while HTTP is not served. */
    readonly http?: Readonly<Record<string, number>>;
    readonly reports?: Readonly<Record<string, number>>;
  };
}

export interface PowerAnswer {
  readonly serial: string;
  readonly name: string;
  readonly action: 'on' | 'off' | 'cycle';
  readonly ms: number;
}

export interface OrderAnswer {
  readonly serial: string;
  readonly name: string;
  readonly order: 'reboot' | 'isolate';
  /** Of `isolate`: the systemd target. */
  readonly target?: string | undefined;
  /** Until the node had taken it. */
  readonly ms: number;
}

export interface KnownHost {
  readonly serial: string;
  readonly name: string;
  readonly address?: string | undefined;
  /** The public line of its SSH host key. */
  readonly key: string;
}

/** How far a rollout is. */
export interface RolloutStatus extends Omit<Rollout, 'startedAt' | 'endedAt'> {
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly endedAt?: string | undefined;
  /** As the nodes tell that are done; absent before the first, and while it does not go on by itself. */
  readonly estimatedEnd?: string | undefined;
  /** Why it cannot go on for now: it goes on by itself once that is mended. */
  readonly heldUp?: string | undefined;
  readonly counts: Readonly<Record<Step['state'] | 'waiting', number>>;
  readonly nodes: readonly RolloutNodeStatus[];
}

export interface RolloutNodeStatus {
  readonly serial: string;
  readonly name: string;
  readonly step: Step['state'] | 'waiting';
  /** Absent of one that is no node of the image any more. */
  readonly state?: NodeState | undefined;
  /** ISO 8601, UTC: of the step. */
  readonly since?: string | undefined;
  /** From its order to being up. */
  readonly seconds?: number | undefined;
  readonly text?: string | undefined;
}

export interface RetryAnswer {
  readonly serial: string;
  readonly name: string;
  /** What it had failed to come up with, and gets again. */
  readonly fellBackFrom?: string | undefined;
  readonly generation?: string | undefined;
}

export interface BootKeyAnswer {
  /** PEM. */
  readonly publicKey: string;
  /** SHA-256 of its DER form, in hex. */
  readonly fingerprint: string;
  /** ISO 8601, UTC. */
  readonly made: string;
  readonly outcome: 'made' | 'present' | 'replaced';
}

export interface FirmwareConfigAnswer {
  /** Lines for the configuration of the EEPROM; none for a Pi that has no EEPROM. */
  readonly settings: readonly string[];
  /** What a person does, in order. */
  readonly steps: readonly string[];
}

/** The body of every refusal. */
export interface Problem {
  readonly error: string;
}
