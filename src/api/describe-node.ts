import type { Fleet } from '../fleet/fleet.ts';
import type { Instant, Lease } from '../model/lease.ts';
import type { Node } from '../model/node.ts';
import type { NodeCondition } from '../model/node-state.ts';
import { throttlingWords } from '../model/throttled.ts';
import type { NodeStatus, ReportStatus } from './schemas.ts';

const iso = (instant: Instant): string => new Date(instant).toISOString();

/** A node with what the fleet knows beside it. */
export function describeNode(fleet: Fleet, node: Node): NodeStatus {
  const { serial } = node;
  const condition = fleet.conditions.of(serial);
  const seen = fleet.sightings.bySerial(serial);
  const booted = fleet.boots.record(serial);
  const address = fleet.addresses.addressOf(node);
  return {
    ...node,
    state: condition.state,
    detail: condition.detail,
    since: condition.since > 0 ? iso(condition.since) : undefined,
    bytes: condition.bytes,
    ofBytes: condition.ofBytes,
    isImageBuilt: fleet.view().published.has(node.image),
    ip: node.ip ?? address ?? leaseOf(fleet, node)?.address,
    address,
    runs: runs(fleet, node, condition),
    generation: fleet.intended(node)?.id,
    fallsBackTo: fleet.boots.fallBack(node)?.to.id,
    boots: booted?.generation,
    bootedAt: booted && iso(booted.since),
    lastSeen: seen && iso(seen.at),
    report: describeReport(condition),
  };
}

/** The node's own word goes before ours: what it was given. */
function runs(
  fleet: Fleet,
  { serial }: Node,
  { state, hasReported, report }: NodeCondition,
): string | undefined {
  if (state === 'off' || state === 'asked' || state === 'loading') return undefined;
  if (hasReported && report) return report.generation;
  return fleet.boots.record(serial)?.gotKernel ? fleet.given(serial)?.id : undefined;
}

function describeReport({ report, reportedAt }: NodeCondition): ReportStatus | undefined {
  if (!report || reportedAt === undefined) return undefined;
  const { clock, throttled, ...others } = report;
  return {
    at: iso(reportedAt),
    ...others,
    clockOffset: Math.round(clock - reportedAt / 1000),
    ...(throttled === undefined ? {} : { throttled, throttling: throttlingWords(throttled) }),
  };
}

function leaseOf(fleet: Fleet, node: Node): Lease | undefined {
  const { mac } = node;
  if (!mac) return undefined;
  const found = [...fleet.view().networks.keys()].flatMap(
    (network) => fleet.leases.byMac(mac, network) ?? [],
  );
  return found.sort((a, b) => b.expiresAt - a.expiresAt)[0];
}
