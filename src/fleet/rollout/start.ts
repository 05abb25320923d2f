import { Refusal } from '../../model/command.ts';
import { canReport, type StoredGeneration } from '../../model/generation.ts';
import type { Instant } from '../../model/lease.ts';
import type { Node } from '../../model/node.ts';
import { faultOfRoot } from '../../model/root-mode.ts';
import type { Channels } from '../channels.ts';
import { assertCheckUrl } from './check-url.ts';
import type { Rollout } from './rollout.ts';

/** What a person may say of a rollout; the rest is as {@link settle} has it. */
export interface RolloutRequest {
  readonly to?: string | undefined;
  readonly canary?: number | undefined;
  /** Nodes, or percent of them as `10%`. */
  readonly batch?: number | string | undefined;
  readonly check?: string | undefined;
  readonly withinSeconds?: number | undefined;
  readonly atNextBoot?: boolean | undefined;
}

const CANARY = 1;
const BATCH = '10%';
const WITHIN_SECONDS = 300;

/** Where the image's pointer is to be while the rollout runs, and whether it has to be moved there. */
export interface Base {
  readonly generation: StoredGeneration | undefined;
  readonly isElsewhere: boolean;
}

/** What nodes go back to: what is published, or before it when that is the target itself. */
export function baseOf(channels: Channels, target: StoredGeneration): Base {
  const published = channels.published().get(target.image);
  if (published && published.id !== target.id) return { generation: published, isElsewhere: false };
  const before = channels
    .history(target.image)
    .map((id) => channels.usable(id))
    .find((each) => each !== undefined && each.id !== target.id);
  return { generation: before, isElsewhere: before !== undefined };
}

/**
 * The rollout that is asked for.
 * @throws Refusal when nothing could be told by it, or the nodes cannot take it.
 */
export function settle(
  request: RolloutRequest,
  { id, target, base, nodes }: { id: string; target: StoredGeneration; base: Base; nodes: readonly Node[] },
  startedAt: Instant,
): Rollout {
  const { image } = target;
  if (nodes.length === 0) {
    throw new Refusal(
      `Image "${image}" has no node`,
      `Publish it as it is, or give it nodes: netboot set-node <serial> --image ${image}`,
    );
  }
  if (request.check !== undefined) assertCheckUrl(request.check);
  else if (!canReport(target)) {
    throw new Refusal(
      `Nodes that run ${target.id} do not report, so nobody could tell whether they come up`,
      `Give a URL that they answer with --check http://{ip}:8000/, or build it anew: netboot build-image ${image}`,
    );
  }
  const fault = nodes.map((node) => faultOfRoot(node, target)).find((each) => each !== undefined);
  if (fault !== undefined) throw new Refusal(`${target.id} does not fit its nodes`, `${fault}.`);
  const [roleless, ...others] = nodes.filter(({ role }) => role !== undefined && !target.roles[role]);
  if (roleless) {
    const { name, role, profile } = roleless;
    const more = others.length > 0 ? ` and ${others.length} more` : '';
    const orOfAll =
      profile === undefined ? '' : `, or for all of its profile: netboot set-profile ${profile} --role=`;
    throw new Refusal(
      `${target.id} has no role "${role}", which ${name}${more} ${more ? 'have' : 'has'}`,
      `Build it with that role, too, or take that away first: netboot set-node ${name} --role none${orOfAll}`,
    );
  }
  return {
    id,
    image,
    target: target.id,
    ...(base.generation ? { base: base.generation.id } : {}),
    canary: request.canary ?? CANARY,
    batch: batchOf(request.batch ?? BATCH, nodes.length),
    ...(request.check === undefined ? {} : { check: request.check }),
    withinSeconds: request.withinSeconds ?? WITHIN_SECONDS,
    atNextBoot: request.atNextBoot ?? false,
    state: 'running',
    startedAt,
  };
}

function batchOf(batch: number | string, nodes: number): number {
  if (typeof batch === 'number') return batch;
  return Math.max(1, Math.floor((nodes * Number.parseInt(batch, 10)) / 100));
}

/** @throws Refusal when a rollout holds the image's pointer. */
export function mustBeFree(rollout: Rollout | undefined): void {
  if (!rollout) return;
  const { id, image, target, state } = rollout;
  throw new Refusal(
    `Rollout ${id} of image "${image}" to ${target} is ${state}`,
    `Wait for its end (netboot rollout status ${image}), or give it up: netboot rollout abort ${image}`,
  );
}
