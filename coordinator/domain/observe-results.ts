/** What results teach of agents and of kinds of work. */
import type { ReportResults } from './commands.ts';
import type { Farm } from './farm.ts';
import type { Liveness } from './liveness.ts';
import { noteRuns, paceKeyOf } from './pace.ts';

/** Takes note of how long units ran, and what they took. */
export function observeResults(liveness: Liveness, farm: Farm, command: ReportResults): void {
  const agent = liveness.agents.get(command.agentId);
  if (agent === undefined) return;
  const sums = new Map<string, { runs: number; runMs: number; readonly eachMs: number[] }>();
  for (const { token, job, step, outcome, runMs, peak } of command.results) {
    // What failed says nothing of how long it takes to succeed.
    if (outcome.state !== 'succeeded') continue;
    const key = paceKeyOf(job, step);
    const sum = sums.get(key) ?? { runs: 0, runMs: 0, eachMs: [] };
    sums.set(key, sum);
    sum.runs += 1;
    sum.runMs += runMs;
    // One that is offered again has been noted.
    if (liveness.leases.has(token)) sum.eachMs.push(runMs);
    const run = farm.jobs.get(job)?.steps.find(({ spec }) => spec.name === step);
    if (run !== undefined) liveness.measuring.note(run.kind, runMs, peak);
  }
  for (const [key, { runs, runMs, eachMs }] of sums) {
    noteRuns(agent.paces, key, runMs / runs);
    liveness.runTimes.note(key, runMs / runs, eachMs);
  }
}
