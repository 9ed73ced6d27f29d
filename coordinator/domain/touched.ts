/** What a commit changes for those who look on, gathered fact by fact. */
import type { Fact } from './facts.ts';
import type { Farm } from './farm.ts';
import { leasesOfJob } from './track.ts';
import { type AgentView, type JobView, viewOfAgent, viewOfJob } from './views.ts';

export class Touched {
  readonly jobs = new Set<number>();
  readonly #agents = new Set<string>();

  /** Called before the fact is applied, while the farm still knows the leases that it ends. */
  note(farm: Farm, fact: Fact): void {
    if ('job' in fact) this.jobs.add(fact.job);
    if ('agentId' in fact) this.#agents.add(fact.agentId);
    switch (fact.type) {
      case 'ResultsAccepted':
        for (const token of fact.tokens) this.#addHolder(farm.leases.get(token));
        return;
      case 'JobCancelled':
      case 'JobEnded':
        for (const lease of leasesOfJob(farm, fact.job)) this.#addHolder(lease);
        return;
      case 'EpochStarted':
        if (fact.acceptsLoss) for (const id of farm.agents.keys()) this.#agents.add(id);
        return;
      default:
    }
  }

  /** What was touched, as it is now. */
  views(farm: Farm): { readonly views: readonly JobView[]; readonly agents: readonly AgentView[] } {
    return {
      views: [...this.jobs].flatMap((number) => {
        const job = farm.jobs.get(number);
        return job === undefined ? [] : [viewOfJob(job)];
      }),
      agents: [...this.#agents].flatMap((id) => {
        const record = farm.agents.get(id);
        return record === undefined ? [] : [viewOfAgent(record)];
      }),
    };
  }

  #addHolder(lease: { readonly agentId: string } | undefined): void {
    if (lease !== undefined) this.#agents.add(lease.agentId);
  }
}
