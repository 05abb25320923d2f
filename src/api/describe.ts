import type { Fleet } from '../fleet/fleet.ts';
import type { Verdict } from '../fleet/retention.ts';
import { imageOfUnknown } from '../model/boot-view.ts';
import { bootTreeBytes } from '../model/generation.ts';
import type { Instant, Lease } from '../model/lease.ts';
import type { Sighting } from '../model/sighting.ts';
import type { Warning } from '../model/warnings.ts';
import { formatSubnet } from '../net/subnet.ts';
import type { Exporter } from '../nfs/applied.ts';
import { describeNode } from './describe-node.ts';
import type { ImageStatus, LeaseStatus, NodesAnswer, StatusAnswer } from './schemas.ts';

const iso = (instant: Instant): string => new Date(instant).toISOString();

/** The machines that asked to boot and that nobody added. */
function strangers(fleet: Fleet): Sighting[] {
  const { nodes, nodesByMac } = fleet.view();
  const isNode = ({ serial, mac }: Sighting) => (serial && nodes.has(serial)) || nodesByMac.has(mac);
  return fleet.sightings.all().filter((sighting) => !isNode(sighting));
}

export function describeNodes(fleet: Fleet): NodesAnswer {
  const { nodes, policy } = fleet.view();
  const boots = imageOfUnknown(policy);
  return {
    nodes: [...nodes.values()].map((node) => describeNode(fleet, node)),
    waiting: strangers(fleet).map(({ at, ...sighting }) => ({
      ...sighting,
      boots,
      booted: sighting.serial && fleet.boots.record(sighting.serial)?.generation,
      lastSeen: iso(at),
    })),
  };
}

export async function describeImages(fleet: Fleet): Promise<ImageStatus[]> {
  const verdicts = new Map((await fleet.retention()).map((verdict) => [verdict.id, verdict]));
  const { published, nodes } = fleet.view();
  return (await fleet.imageNames()).map((image) => {
    const generation = published.get(image);
    const sealed = fleet.channels
      .generations()
      .filter((candidate) => candidate.image === image)
      .sort((a, b) => (a.sealedAt < b.sealedAt ? 1 : -1));
    return {
      image,
      generation: generation?.id,
      sealedAt: generation?.sealedAt,
      rootBytes: generation?.root.size,
      bootBytes: generation && bootTreeBytes(generation),
      roles: Object.keys(generation?.roles ?? {}),
      nodes: [...nodes.values()].filter((node) => node.image === image).length,
      sealed: sealed.map(({ id }) => id),
      others: sealed
        .filter(({ id }) => id !== generation?.id)
        .map((other) => ({
          id: other.id,
          sealedAt: other.sealedAt,
          rootBytes: other.root.size,
          bootBytes: bootTreeBytes(other),
          kept: reasonsToKeep(verdicts.get(other.id)),
        })),
    };
  });
}

const reasonsToKeep = (verdict: Verdict | undefined): string[] => [
  ...(verdict?.users ?? []),
  ...(verdict?.reserve === undefined ? [] : [verdict.reserve]),
];

/** A lease that ran out is kept, so that its client can have the same address again. */
export function describeLease(lease: Lease, now: Instant): LeaseStatus {
  const { address, mac, serial, hostname } = lease;
  const state = lease.expiresAt > now ? lease.state : 'expired';
  return { address, mac, state, interface: lease.interface, expires: iso(lease.expiresAt), serial, hostname };
}

/** @param service what only the daemon knows: its version, its start, and what its engines counted. */
export function describeStatus(
  fleet: Fleet,
  exporter: Exporter,
  service: Pick<StatusAnswer, 'version' | 'startedAt' | 'counters' | 'tftp'>,
  watch: {
    readonly warnings: readonly Warning[];
    readonly unwatched: readonly string[];
    readonly isHeldBack: (name: string) => boolean;
  },
  now: Instant,
): StatusAnswer {
  const { networks, nodes, revision } = fleet.view();
  const { exports } = exporter.state();
  return {
    ...service,
    revision,
    pid: process.pid,
    memoryBytes: process.memoryUsage.rss(),
    interfaces: [...networks.values()].map(({ interface: name, address, subnet, dhcp }) => ({
      interface: name,
      address,
      subnet: formatSubnet(subnet),
      dhcp,
      isHeldBack: watch.isHeldBack(name),
    })),
    nfs: {
      server: exporter.kind,
      exports: exports.length,
      problems: exports.flatMap(({ path, problem }) => (problem ? [`${path}: ${problem}`] : [])),
    },
    nodes: nodes.size,
    waiting: strangers(fleet).length,
    leases: fleet.leases.all().filter(({ expiresAt, state }) => expiresAt > now && state === 'bound').length,
    warnings: watch.warnings.map(({ id, text, since }) => ({ id, text, since: iso(since) })),
    unwatched: watch.unwatched,
  };
}
