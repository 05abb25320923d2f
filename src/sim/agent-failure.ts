import { Refusal } from '../model/command.ts';

/**
 * What goes wrong on a simulated node. `unit`: a unit failed, and it serves no page. `panic`: its kernel panics and
 * resets it after 10 s (panic=10), at each boot. `silent`: its root is mounted, and nothing more is heard of it. `lie`:
 * it reports another generation. `hang-page`: its page's port accepts, and never answers.
 */
export const AGENT_FAILURES = ['unit', 'panic', 'silent', 'lie', 'hang-page'] as const;
export type AgentFailure = (typeof AGENT_FAILURES)[number];

/** A failure, of all generations or of those whose id begins so. */
export interface FailureRule {
  readonly generation?: string;
  readonly how: AgentFailure;
}

/** @param text `unit`, or `web-0123456789ab:unit`. @throws Refusal when it is neither. */
export function parseFailureRule(text: string): FailureRule {
  const [, generation, word] = /^(?:([\w-]+):)?([\w-]+)$/.exec(text) ?? [];
  const how = AGENT_FAILURES.find((known) => known === word);
  if (how) return generation === undefined ? { how } : { generation, how };
  throw new Refusal(
    `"${text}" is no way to fail`,
    `There are ${AGENT_FAILURES.join(', ')}; with GENERATION: before it, of that one alone.`,
  );
}

/** The first rule that holds for a generation. */
export function failureOf(rules: readonly FailureRule[], generation: string): AgentFailure | undefined {
  return rules.find((rule) => generation.startsWith(rule.generation ?? ''))?.how;
}
