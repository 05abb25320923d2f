import { z } from 'zod';
import { ipv4Schema, macSchema, nameSchema, serialSchema, tftpPrefixSchema } from '../model/node.ts';

/** What the API takes and gives, in one place: the service checks by these, the command line is typed by them. */

export const addNodeSchema = z
  .strictObject({
    /** Left out for a machine that has none on the wire: its MAC stands for it. */
    serial: serialSchema.optional(),
    name: nameSchema.optional(),
    mac: macSchema.optional(),
    ip: ipv4Schema.optional(),
    image: nameSchema.optional(),
    role: nameSchema.optional(),
    tftpPrefix: tftpPrefixSchema.optional(),
    ramdisk: z.boolean().optional(),
  })
  .refine(({ serial, mac }) => serial !== undefined || mac !== undefined, {
    message: 'give the serial number of a Pi, or the MAC address of another machine',
  });

/** `null` takes a value away. */
export const setNodeSchema = z.strictObject({
  name: nameSchema.optional(),
  mac: macSchema.nullable().optional(),
  ip: ipv4Schema.nullable().optional(),
  image: nameSchema.optional(),
  role: nameSchema.nullable().optional(),
  tftpPrefix: tftpPrefixSchema.nullable().optional(),
  ramdisk: z.boolean().nullable().optional(),
});

export interface NodeStatus {
  readonly serial: string;
  readonly name: string;
  /** `ready`: it will boot when it asks; `image not built`: its image has no published generation. */
  readonly state: 'ready' | 'image not built';
  readonly mac?: string | undefined;
  /** The reserved address, or the one it has from the pool. */
  readonly ip?: string | undefined;
  readonly image: string;
  readonly role?: string | undefined;
  readonly tftpPrefix?: string | undefined;
  readonly ramdisk?: boolean | undefined;
  /** What is published of its image, and what it booted last. */
  readonly generation?: string | undefined;
  readonly boots?: string | undefined;
  /** ISO 8601, UTC. */
  readonly bootedAt?: string | undefined;
  /** ISO 8601, UTC: when its firmware last asked, since the service started. */
  readonly lastSeen?: string | undefined;
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
  };
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
