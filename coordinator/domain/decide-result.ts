/**
 * Which results count. A result is accepted if its unit is open and its token is the unit's current
 * one: expired but not granted anew still wins. A repeat of the accepted token gets the same answer.
 */
import { faultOfFile } from './check-steps.ts';
import type { ReportedOutcome, ReportedResult, ReportResults, Verdict } from './commands.ts';
import { beatenBy, endBeaten, rivalOfResult } from './copy-race.ts';
import { decided, type Decision, type Now, ordersFor } from './decision.ts';
import type { Fact, ResultsAccepted } from './facts.ts';
import { isGrantedTo, isTokenCurrent } from './fence.ts';
import { type Farm, type Job, jobId, type StepRun } from './farm.ts';
import { utf8Length } from './names.ts';
import type { Liveness } from './liveness.ts';
import { stepOf, unitsOf } from './find.ts';
import { isSqueezed, outgrown } from './outgrown.ts';
import { endLease, type LeaseEnd } from './retry.ts';
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

export function decideResults(
  farm: Farm,
  liveness: Liveness,
  command: ReportResults,
  now: Now,
): Decision {
  const accepted = new Map<string, Accepted>();
  const endings: Fact[] = [];
  const judged = new Map<Token, Verdict>();
  const verdicts = command.results.map((result): Verdict => {
    const before = judged.get(result.token);
    if (before !== undefined) return before;
    // What becomes of the unit was decided just now: this one is offered again, and answered then.
    const rival = rivalOfResult(farm, result);
    if (rival !== undefined && judged.has(rival)) return { kind: 'none' };
    const verdict = judge(farm, liveness, command.agentId, result, accepted, endings, now);
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
  const beaten = beatenBy(farm, [...acceptances, ...endings]);
  const ends = beaten.map((lease) => endBeaten(lease, now.wallMs));
  return {
    ...decided([...ends, ...acceptances, ...endings], { kind: 'verdicts', verdicts }),
    barrier: destroysWork ? 'fresh' : 'decided',
    stops: ordersFor(beaten),
  };
}

function judge(
  farm: Farm,
  liveness: Liveness,
  agentId: string,
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
  if (!isGrantedTo(farm, step.units, result.unit, result.token, agentId)) return { kind: 'stale' };
  const state = step.units.stateOf(result.unit);
  if (state === UNIT_ACCEPTED) return { kind: 'accepted' };
  if (state === UNIT_CANCELLED) return { kind: 'stale' };
  if (!step.units.isOpen(result.unit)) return { kind: 'noted' };
  const { outcome } = result;
  if (outcome.state === 'failed') {
    endings.push(...failureOf(farm, step, result, endOf(farm, liveness, result, outcome), now));
    return { kind: 'noted' };
  }
  if (result.missingBlobs.length > 0) {
    return { kind: 'blob-missing', missing: result.missingBlobs };
  }
  const fault = faultOfOutputs(outcome.outputs);
  if (fault !== undefined) {
    const bad = { kind: 'bad-output', message: fault } as const;
    endings.push(...failureOf(farm, step, result, bad, now));
    return { kind: 'noted' };
  }
  const attempt = attemptOf(farm, result.token) ?? step.units.attemptsOf(result.unit);
  addAccepted(accepted, job, step, { ...result, attempt }, outcome.outputs);
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
  { token }: ReportedResult,
  end: LeaseEnd,
  now: Now,
): Fact[] {
  const lease = farm.leases.get(token);
  // Expired already: its unit is queued again, and there is nothing left to end.
  return lease === undefined ? [] : [endLease(lease, step, end, now.wallMs)];
}

/** With what follows for its size, when the attempt ran out of memory. */
function endOf(
  farm: Farm,
  { agents }: Liveness,
  { token, peak }: ReportedResult,
  { kind, message }: Extract<ReportedOutcome, { readonly state: 'failed' }>,
): LeaseEnd {
  const lease = farm.leases.get(token);
  if (lease === undefined || (kind !== 'out-of-memory' && kind !== 'out-of-vram')) {
    return { kind, message };
  }
  const capacity = agents.get(lease.agentId)?.capacity;
  const booking = farm.agents.get(lease.agentId)?.booking;
  if (capacity !== undefined && booking !== undefined) {
    if (isSqueezed(capacity, booking, kind, lease.gpuIds)) return { kind, message };
  }
  const nameOf = (agentId: string): string => farm.agents.get(agentId)?.name ?? agentId;
  const { demand } = lease.slot;
  const { growths } = unitsOf(stepOf(farm, lease.job, lease.step));
  const known = { agents, nameOf };
  return { kind, message, outgrown: outgrown(demand, kind, peak, growths.has(lease.unit), known) };
}

/** A lease that lapsed has its attempt, too: a copy that is over may have begun after it. */
function attemptOf(farm: Farm, token: Token): number | undefined {
  return (farm.leases.get(token) ?? farm.lapsed.get(token))?.attempt;
}

function addAccepted(
  accepted: Map<string, Accepted>,
  job: Job,
  step: StepRun,
  result: ReportedResult & { readonly attempt: number },
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
  entry.attempts.push(result.attempt);
  if (files.length > 0) entry.outputs.push({ unit: result.unit, files });
}
