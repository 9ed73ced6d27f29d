/** What an agent's answer to a grant means. No answer is unknown, not free: the reservation stands. */
import { stepOf } from './find.ts';
import type { GrantAnswered } from './commands.ts';
import { decided, type Decision, type Now } from './decision.ts';
import type { Farm, Lease } from './farm.ts';
import { endLease } from './retry.ts';

export function decideGrantAnswer(farm: Farm, command: GrantAnswered, now: Now): Decision {
  const { answer } = command;
  switch (answer.state) {
    case 'unknown':
      return decided([]);
    case 'no-responders': {
      const message = 'the agent did not listen for grants';
      const refused = leasesOfGrant(farm, command).map((lease) => ({ lease, message }));
      return refusals(farm, refused, now);
    }
    case 'answered': {
      const refused = answer.refused.flatMap(({ token, reason }) => {
        const lease = farm.leases.get(token);
        return lease?.agentId === command.agentId ? [{ lease, message: reason }] : [];
      });
      return refusals(farm, refused, now);
    }
  }
}

function refusals(
  farm: Farm,
  refused: readonly { readonly lease: Lease; readonly message: string }[],
  now: Now,
): Decision {
  const facts = refused.map(({ lease, message }) => {
    const step = stepOf(farm, lease.job, lease.step);
    return endLease(lease, step, { kind: 'refused', message }, now.wallMs);
  });
  return decided(facts);
}

function leasesOfGrant(farm: Farm, command: GrantAnswered): Lease[] {
  const { agentId, session, grantNumber } = command;
  const tokens = farm.agents.get(agentId)?.leases ?? [];
  return [...tokens].flatMap((token) => {
    const lease = farm.leases.get(token);
    const isOfGrant = lease?.session === session && lease.grantNumber === grantNumber;
    return isOfGrant ? [lease] : [];
  });
}
