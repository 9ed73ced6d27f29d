/** What a commit changes for those who look on, gathered fact by fact. */
import type { Fact } from './facts.ts';
import type { Farm } from './farm.ts';
import { leasesOfJob } from './track.ts';
import type { ChangedSteps, StepViews } from './step-views.ts';
import { type AgentView, type JobView, viewOfAgent, viewOfJob } from './views.ts';

export class Touched {
  /** By number of the job. */
  readonly jobs = new Map<number, ChangedSteps>();
  readonly #agents = new Set<string>();

  /** Called before the fact is applied, while the farm still knows the leases that it ends. */
  note(farm: Farm, fact: Fact): void {
    if ('job' in fact) this.#addJob(fact.job, 'step' in fact ? fact.step : undefined);
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
        if (fact.acceptsLoss) {
          for (const id of farm.agents.keys()) this.#agents.add(id);
          for (const number of farm.jobs.keys()) this.#addJob(number, undefined);
        }
        return;
      default:
    }
  }

  /** What was touched, as it is now. `steps` has been asked of everything that was touched before. */
  views(
    farm: Farm,
    steps: StepViews,
  ): { readonly views: readonly JobView[]; readonly agents: readonly AgentView[] } {
    return {
      views: [...this.jobs].flatMap(([number, changed]) => {
        const job = farm.jobs.get(number);
        return job === undefined ? [] : [viewOfJob(job, steps.after(job, changed))];
      }),
      agents: [...this.#agents].flatMap((id) => {
        const record = farm.agents.get(id);
        return record === undefined ? [] : [viewOfAgent(record)];
      }),
    };
  }

  #addJob(number: number, step: number | undefined): void {
    const changed = this.jobs.get(number) ?? new Set();
    if (step === undefined || changed === 'all') this.jobs.set(number, 'all');
    else this.jobs.set(number, changed.add(step));
  }

  #addHolder(lease: { readonly agentId: string } | undefined): void {
    if (lease !== undefined) this.#agents.add(lease.agentId);
  }
}
