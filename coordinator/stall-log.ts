/** What the log says of a farm that stands still. */
import type { Logger } from '../kit/log.ts';
import type { StallStep } from './domain/stall-watch.ts';

export function logStallStep(log: Logger, { state, stall, forMs }: StallStep): void {
  const { cause, units, unitId: unit, why, agentIds: agents } = stall;
  switch (state) {
    case 'noticed':
      log.warn({ cause, units, unit, why, agents, forMs }, 'the farm stands still');
      return;
    case 'offer-again':
      log.warn({ cause, unit, forMs }, 'everything is offered again');
      return;
    case 'ask-agents':
      log.warn({ cause, unit, agents, forMs }, 'agents are asked anew what they have');
      return;
    case 'over':
      log.info({ cause, unit, forMs }, 'the farm goes on');
  }
}
