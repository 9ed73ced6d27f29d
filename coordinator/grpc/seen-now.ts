/** What this coordinator sees at the moment: explanations and plans go by it. */
import type { Clock } from '../../kit/clock.ts';
import type { Seen } from '../domain/estimates.ts';
import type { Office } from '../office.ts';
import type { WatchHub } from '../watch-hub.ts';

export interface Watcher {
  readonly office: Office;
  readonly clock: Clock;
  readonly hub: WatchHub;
}

export function seenNow({ office, clock, hub }: Watcher): Seen {
  const { farm, liveness, standing, duty } = office;
  const now = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  const { pausedUntilMs, cause } = liveness.shared;
  const shared =
    now.monotonicMs < pausedUntilMs ? `grants wait a while, for all agents: ${cause}` : undefined;
  return {
    farm,
    liveness,
    now,
    hearsAgents: duty.state === 'leading',
    grantsNothing:
      standing.state === 'ok'
        ? shared
        : 'nothing is granted until the journal takes commits again: see furrow status',
    fractionOf: (job, unitId, agentId) => hub.fractionOf(job, unitId, agentId),
  };
}
