/** What the farm says of this agent's work, as far as it can be understood here. */
import type { Logger } from '../../kit/log.ts';
import type { AgentPolicy } from '../../proto/gen/furrow/v1/agent_policy.ts';
import {
  faultOfTerms,
  OPEN_TERMS,
  type PolicyTerms,
  termsOfPolicy,
} from '../../proto/agent-policy.ts';

/**
 * A policy that this agent cannot act by, such as one with a time zone that its machine does not know, is taken for
 * the strictest: who meant to limit a machine must not get all of it.
 */
export function heardTerms(policy: AgentPolicy, log: Pick<Logger, 'error'>): PolicyTerms {
  const terms = termsOfPolicy(policy);
  const fault = faultOfTerms(terms);
  if (fault === undefined) return terms;
  log.error({ fault }, "the farm's policy cannot be kept: no work until it is changed");
  return { ...OPEN_TERMS, mode: 'never' };
}
