/**
 * Which results count. A result is accepted if its unit is open and its token is the unit's current
 * one: expired but not granted anew still wins. A repeat of the accepted token gets the same answer.
 */
import { faultOfFile } from './check-steps.ts';
import type { ReportedResult, ReportResults, Verdict } from './commands.ts';
import { decided, type Decision, type Now } from './decision.ts';
import type { Fact, ResultsAccepted } from './facts.ts';
import { isTokenCurrent } from './fence.ts';
import { type Farm, type Job, jobId, type StepRun } from './farm.ts';
import { utf8Length } from './names.ts';
import { endLease } from './retry.ts';
import type { File } from './task.ts';
import { epochOf, type Token } from './token.ts';
import { UNIT_ACCEPTED, UNIT_CANCELLED } from './unit-table.ts';

interface Accepted {
  readonly job: number;
  readonly step: number;
  readonly units: number[];
  readonly tokens: Token[];
  readonly attempts: number[];
  readonly outputs: { readonly unit: number; readonly files: readonly File[] }[];
}

export function decideResults(farm: Farm, command: ReportResults, now: Now): Decision {
  const accepted = new Map<string, Accepted>();
  const endings: Fact[] = [];
  const judged = new Map<Token, Verdict>();
  const verdicts = command.results.map((result): Verdict => {
    const before = judged.get(result.token);
    if (before !== undefined) return before;
    const verdict = judge(farm, result, accepted, endings, now);
    judged.set(result.token, verdict);
    return verdict;
  });
  const { agentId } = command;
  const acceptances = [...accepted.values()].map((entry): ResultsAccepted => ({
    type: 'ResultsAccepted',
    ...entry,
    agentId,
    atMs: now.wallMs,
  }));
  const destroysWork = verdicts.some((verdict) => verdict.kind === 'stale');
  return {
    ...decided([...acceptances, ...endings], { kind: 'verdicts', verdicts }),
    barrier: destroysWork ? 'fresh' : 'decided',
  };
}

function judge(
  farm: Farm,
  result: ReportedResult,
  accepted: Map<string, Accepted>,
  endings: Fact[],
  now: Now,
): Verdict {
  // A token from a later reign than ours: it is we who are stale.
  if (epochOf(result.token) > farm.epoch) return { kind: 'none' };
  const job = farm.jobs.get(result.job);
  const step = job?.steps.find((candidate) => candidate.spec.name === result.step);
  if (job === undefined || step?.units === undefined) return { kind: 'stale' };
  if (!isTokenCurrent(step.units, result.unit, result.token)) return { kind: 'stale' };
  const state = step.units.stateOf(result.unit);
  if (state === UNIT_ACCEPTED) return { kind: 'accepted' };
  if (state === UNIT_CANCELLED) return { kind: 'stale' };
  if (!step.units.isOpen(result.unit)) return { kind: 'noted' };
  const { outcome } = result;
  if (outcome.state === 'failed') {
    endings.push(...failureOf(farm, step, result.token, outcome, now));
    return { kind: 'noted' };
  }
  if (result.missingBlobs.length > 0) {
    return { kind: 'blob-missing', missing: result.missingBlobs };
  }
  const fault = faultOfOutputs(outcome.outputs);
  if (fault !== undefined) {
    const bad = { kind: 'bad-output', message: fault } as const;
    endings.push(...failureOf(farm, step, result.token, bad, now));
    return { kind: 'noted' };
  }
  addAccepted(accepted, job, step, result, outcome.outputs);
  return { kind: 'accepted' };
}

/** A result must fit into a commit, or its agent would offer it for ever: so much for its files. */
const MAX_OUTPUTS_BYTES = 192 * 1024;
/** Digest, size and tags of one file. */
const FILE_BYTES = 80;

function faultOfOutputs(files: readonly File[]): string | undefined {
  const bytes = files.reduce((sum, file) => sum + utf8Length(file.name) + FILE_BYTES, 0);
  if (bytes > MAX_OUTPUTS_BYTES) {
    return `left ${files.length} files, more than one unit can name: put them into archives`;
  }
  return files.map(faultOfFile).find((found) => found !== undefined);
}

function failureOf(
  farm: Farm,
  step: StepRun,
  token: Token,
  failure: Parameters<typeof endLease>[2],
  now: Now,
): Fact[] {
  const lease = farm.leases.get(token);
  // Expired already: its unit is queued again, and there is nothing left to end.
  return lease === undefined ? [] : [endLease(lease, step, failure, now.wallMs)];
}

function addAccepted(
  accepted: Map<string, Accepted>,
  job: Job,
  step: StepRun,
  result: ReportedResult,
  files: readonly File[],
): void {
  const key = `${jobId(job.number)}/${step.index}`;
  const entry = accepted.get(key) ?? {
    job: job.number,
    step: step.index,
    units: [],
    tokens: [],
    attempts: [],
    outputs: [],
  };
  accepted.set(key, entry);
  entry.units.push(result.unit);
  entry.tokens.push(result.token);
  entry.attempts.push(step.units?.attemptsOf(result.unit) ?? 0);
  if (files.length > 0) entry.outputs.push({ unit: result.unit, files });
}
