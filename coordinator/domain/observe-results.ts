/** What results teach of agents, of kinds of work and of models. */
import type { ReportedResult, ReportResults } from './commands.ts';
import type { Farm, StepRun } from './farm.ts';
import type { Liveness } from './liveness.ts';
import { modelOfTask } from './model-memory.ts';
import { noteRuns, paceKeyOf } from './pace.ts';
import type { Growth } from './size.ts';

/** Takes note of how long units ran, and what they took. */
export function observeResults(liveness: Liveness, farm: Farm, command: ReportResults): void {
  const agent = liveness.agents.get(command.agentId);
  if (agent === undefined) return;
  const sums = new Map<string, { runs: number; runMs: number; readonly eachMs: number[] }>();
  for (const result of command.results) {
    const { token, job, step, outcome, runMs } = result;
    noteModelMemory(liveness, farm, result);
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
    if (run !== undefined) liveness.measuring.note(run.kind, runMs, tellingPeak(farm, run, result));
  }
  for (const [key, { runs, runMs, eachMs }] of sums) {
    noteRuns(agent.paces, key, runMs / runs);
    liveness.runTimes.note(key, runMs / runs, eachMs);
  }
}

/** Only of its own model, and once: what is offered again has been noted. */
function noteModelMemory(
  liveness: Liveness,
  farm: Farm,
  { token, job, step, modelMemory }: ReportedResult,
): void {
  if (modelMemory === undefined || !liveness.leases.has(token)) return;
  const run = farm.jobs.get(job)?.steps.find(({ spec }) => spec.name === step);
  if (modelOfTask(run?.spec.task)?.sha256 !== modelMemory.sha256) return;
  liveness.seenMemories.note(farm.modelMemory, modelMemory);
}

/**
 * Its peak, as far as it tells what its kind of work needs. A unit with a model cuts its pictures to what it was
 * given: that it took that much says nothing, and would only make the next ones larger.
 */
function tellingPeak(farm: Farm, { spec }: StepRun, { token, peak }: ReportedResult): Growth {
  const given = farm.leases.get(token)?.slot.demand;
  if (given === undefined || modelOfTask(spec.task) === undefined) return peak;
  return {
    ramBytes: peak.ramBytes <= given.ramBytes ? 0 : peak.ramBytes,
    vramBytes: peak.vramBytes <= given.vramBytes ? 0 : peak.vramBytes,
  };
}
