/** The only place that translates between the domain and the protocol's messages. */
import { FurrowError } from '../../kit/furrow-error.ts';
import {
  LeaseState,
  type AdvertiseRequest,
  type Capacity as WireCapacity,
  type JournalPlace,
  type Token as WireToken,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import {
  AttemptOutcome,
  JobState,
  UnitState,
  type AttemptEvent,
  type Job as WireJob,
  type Unit as WireUnit,
} from '../../proto/gen/furrow/v1/job_service.ts';
import {
  Verdict as WireVerdict,
  type Grant,
  type Lease,
  type LeaseRun,
  type ModelSighting,
  type Result,
  type ResultVerdict,
  type StepShare,
} from '../../proto/gen/furrow/work/v1/work.ts';
import type { GrantedLease, GrantOrder } from '../domain/assignment.ts';
import { fileListOf } from '../domain/file-lists.ts';
import type { Answer, ReportedOutcome, ReportedResult, Verdict } from '../domain/commands.ts';
import type { Capacity } from '../domain/demand.ts';
import type { EndKind, Fact } from '../domain/facts.ts';
import { credible, memoriesOfTask, type SeenMemory } from '../domain/model-memory.ts';
import { type Farm, jobNumberOf, unitId } from '../domain/farm.ts';
import type { Sighting } from '../domain/lineage.ts';
import type { Beat } from '../domain/beats.ts';
import type { HeldLease, HeldState } from '../domain/liveness.ts';
import {
  counterOf,
  epochOf,
  MAX_COUNTER,
  MAX_EPOCH,
  type Token,
  tokenOf,
} from '../domain/token.ts';
import type { JobView, UnitView } from '../domain/views.ts';

export function tokenFromWire(token: WireToken | undefined): Token {
  const epoch = token?.epoch ?? 0;
  const counter = token?.counter ?? 0;
  if (epoch < 1 || epoch > MAX_EPOCH || counter < 1 || counter > MAX_COUNTER) {
    throw new FurrowError('invalid', 'TOKEN_INVALID', 'a lease token is out of range');
  }
  return tokenOf(epoch, counter);
}

export function tokenToWire(token: Token): WireToken {
  return { epoch: epochOf(token), counter: counterOf(token) };
}

/** Undefined when nothing was seen, or another farm: what an agent knows of that says nothing here. */
export function sightingFromWire(
  seen: JournalPlace | undefined,
  farmId: string,
): Sighting | undefined {
  if (seen === undefined || seen.farmId !== farmId) return undefined;
  const { epoch, reignId, sequence } = seen;
  return { epoch, reignId, sequence };
}

const HELD_STATES: Readonly<Record<LeaseState, HeldState>> = {
  [LeaseState.LEASE_STATE_UNSPECIFIED]: 'running',
  [LeaseState.LEASE_STATE_WAITING]: 'waiting',
  [LeaseState.LEASE_STATE_RUNNING]: 'running',
  [LeaseState.LEASE_STATE_FINISHED]: 'finished',
  [LeaseState.LEASE_STATE_ENDING]: 'ending',
};

export function beatFromWire(request: AdvertiseRequest): Beat {
  return {
    agentId: request.agentId,
    session: request.session,
    sessionStartedAtMs: request.sessionStartedAtMs ?? 0,
    beat: request.beat,
    machineFingerprint: request.machineFingerprint,
    capacity: request.capacity && capacityFromWire(request.capacity),
    inventory: request.inventory.map((entry): HeldLease => ({
      token: tokenFromWire(entry.token),
      state: HELD_STATES[entry.state],
      progress: entry.progress,
    })),
    grantsHandled: request.grantsHandled,
    workPlaneUp: request.workPlaneUp,
    leaving: request.leaving,
  };
}

export function capacityFromWire(capacity: WireCapacity): Capacity {
  return {
    cpuMillis: capacity.cpuMillis,
    ramTotalBytes: capacity.ramTotalBytes,
    ramAvailableBytes: capacity.ramAvailableBytes,
    scratchFreeBytes: capacity.scratchFreeBytes,
    encoderSessions: capacity.encoderSessions,
    attributes: capacity.attributes,
    programs: capacity.isolation && {
      allowed: capacity.isolation.allowedCommands,
      network: capacity.isolation.allowsNetwork,
    },
    gpus: capacity.gpus.map((gpu) => ({
      id: gpu.id,
      name: gpu.name,
      vramTotalBytes: gpu.vramTotalBytes,
      vramForeignBytes: gpu.vramForeignBytes,
      unusableReason: gpu.unusableReason || undefined,
    })),
    maxUnits: capacity.maxUnits,
    maxWaiting: capacity.maxWaiting,
    closedReason: capacity.closedReason,
  };
}

const JOB_STATES: Readonly<Record<JobView['state'], JobState>> = {
  queued: JobState.JOB_STATE_QUEUED,
  running: JobState.JOB_STATE_RUNNING,
  paused: JobState.JOB_STATE_PAUSED,
  succeeded: JobState.JOB_STATE_SUCCEEDED,
  failed: JobState.JOB_STATE_FAILED,
  cancelled: JobState.JOB_STATE_CANCELLED,
};

/** `outputRetentionMs`: outputs are kept so long after their job's end; 0 for ever. */
export function jobToWire(view: JobView, outputRetentionMs: number): WireJob {
  const isKeptForEver = outputRetentionMs === 0 || view.endedAtMs === 0;
  return {
    id: view.id,
    name: view.name,
    clientId: view.clientId,
    priority: view.priority,
    state: JOB_STATES[view.state],
    reason: view.reason,
    submittedAtMs: view.submittedAtMs,
    endedAtMs: view.endedAtMs,
    steps: view.steps,
    outputs: view.outputs,
    recipe: view.recipe,
    archived: view.archived,
    outputsExpireAtMs: isKeptForEver ? 0 : view.endedAtMs + outputRetentionMs,
    owner: view.owner,
    maxUnits: view.maxUnits,
  };
}

/** The job's number. FurrowError: not-found JOB_UNKNOWN when the text cannot be one. */
export function jobFromWire(id: string): number {
  const number = jobNumberOf(id);
  if (number !== undefined) return number;
  const shown = JSON.stringify(id.slice(0, 80));
  throw new FurrowError('not-found', 'JOB_UNKNOWN', `no job ${shown}: ids look like j12`);
}

const UNIT_STATES: Readonly<Record<UnitView['state'], UnitState>> = {
  blocked: UnitState.UNIT_STATE_BLOCKED,
  queued: UnitState.UNIT_STATE_QUEUED,
  leased: UnitState.UNIT_STATE_LEASED,
  accepted: UnitState.UNIT_STATE_ACCEPTED,
  failed: UnitState.UNIT_STATE_FAILED,
  cancelled: UnitState.UNIT_STATE_CANCELLED,
};

export function unitStateToWire(state: UnitView['state']): UnitState {
  return UNIT_STATES[state];
}

export function unitToWire(view: UnitView, agentName: string, fraction: number): WireUnit {
  return { ...view, state: UNIT_STATES[view.state], agentName, fraction };
}

/** What a watcher of the job learns from a fact. */
export function attemptEvents(farm: Farm, job: number, fact: Fact): AttemptEvent[] {
  switch (fact.type) {
    case 'LeasesGranted':
    case 'ResultsAccepted': {
      if (fact.job !== job) return [];
      const outcome =
        fact.type === 'LeasesGranted'
          ? AttemptOutcome.ATTEMPT_OUTCOME_GRANTED
          : AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED;
      return fact.units.map((unit, index) => ({
        ...eventBase(farm, fact, unit),
        attempt: fact.attempts[index] ?? 0,
        outcome,
        failureKind: '',
        message: '',
      }));
    }
    case 'LeaseEnded':
      if (fact.job !== job) return [];
      return [
        {
          ...eventBase(farm, fact, fact.unit),
          attempt: fact.attempt,
          outcome: AttemptOutcome.ATTEMPT_OUTCOME_ENDED,
          failureKind: fact.kind,
          message: fact.message,
        },
      ];
    default:
      return [];
  }
}

function eventBase(
  farm: Farm,
  fact: {
    readonly job: number;
    readonly step: number;
    readonly agentId: string;
    readonly atMs: number;
  },
  unit: number,
): Pick<AttemptEvent, 'unitId' | 'agentId' | 'agentName' | 'atMs'> {
  const { agentId, atMs } = fact;
  const agentName = farm.agents.get(agentId)?.name ?? agentId;
  return { unitId: unitIdOf(farm, fact.job, fact.step, unit), agentId, agentName, atMs };
}

function unitIdOf(farm: Farm, job: number, step: number, unit: number): string {
  const name = farm.jobs.get(job)?.steps[step]?.spec.name ?? String(step);
  return unitId(job, name, unit);
}

export function grantToWire(
  order: GrantOrder,
  { farmId, epoch, modelMemory }: Pick<Farm, 'farmId' | 'epoch' | 'modelMemory'>,
): Grant {
  return {
    farmId,
    epoch,
    number: order.number,
    steps: order.steps.map((granted) => ({
      jobId: granted.jobId,
      step: granted.spec.name,
      task: granted.spec.task,
      demand: granted.demand,
      // Whether the step itself says when it stands still: see the command runner.
      limits: { ...granted.limits, stallTimeoutMs: granted.spec.limits?.stallTimeoutMs ?? 0 },
      inputs: granted.inputs,
      outputs: granted.spec.outputs,
      slots: granted.slots,
      fileList: fileListOf(granted.spec),
      modelMemory: memoriesOfTask(modelMemory, granted.spec.task),
      because: granted.because,
      hasStandIn: granted.hasStandIn,
      ...leasesToWire(granted.leases),
    })),
  };
}

/** Leases that follow one another, with nothing of their own, go as runs. */
function leasesToWire(leases: readonly GrantedLease[]): Pick<StepShare, 'leases' | 'runs'> {
  const single: Lease[] = [];
  const runs: { -readonly [Key in keyof LeaseRun]: LeaseRun[Key] }[] = [];
  let next: { readonly token: number; readonly unit: number; readonly attempt: number } | undefined;
  for (const lease of leases) {
    const { token, unit, attempt, value, item, gpuIds, checkpoint } = lease;
    if (value !== '' || item !== undefined || checkpoint.length > 0) {
      single.push({ ...lease, token: tokenToWire(token) });
      continue;
    }
    const run = runs.at(-1);
    const follows = next?.token === token && next.unit === unit && next.attempt === attempt;
    if (run !== undefined && follows) run.count += 1;
    else {
      const firstToken = tokenToWire(token);
      runs.push({ firstToken, firstUnit: unit, count: 1, attempt, gpuIds });
    }
    next = { token: token + 1, unit: unit + 1, attempt };
  }
  return { leases: single, runs };
}

/** Failure kinds an agent may report. */
const REPORTABLE: ReadonlySet<string> = new Set<EndKind>([
  'failed',
  'invalid-input',
  'out-of-memory',
  'out-of-vram',
  'timed-out',
  'stalled',
  'bad-output',
  'evicted',
  'infrastructure',
]);
const MAX_MESSAGE_LENGTH = 1_000;

/** A result, without the question whether its blobs are stored. */
export function resultFromWire(result: Result): Omit<ReportedResult, 'missingBlobs'> {
  return {
    token: tokenFromWire(result.token),
    job: jobNumberOf(result.jobId) ?? 0,
    step: result.step,
    unit: result.unit,
    outcome: outcomeFromWire(result),
    runMs: result.endedAtMs - result.startedAtMs,
    peak: { ramBytes: result.peakRamBytes, vramBytes: result.peakVramBytes ?? 0 },
    modelMemory: seenFromWire(result.model),
  };
}

function seenFromWire(sighting: ModelSighting | undefined): SeenMemory | undefined {
  if (sighting?.memory === undefined) return undefined;
  return credible({ ...sighting.memory, ranOut: sighting.ranOut });
}

function outcomeFromWire(result: Result): ReportedOutcome {
  switch (result.outcome?.$case) {
    case 'success':
      return { state: 'succeeded', outputs: result.outcome.value.outputs };
    case 'failure': {
      const { kind, message } = result.outcome.value;
      const known = REPORTABLE.has(kind) ? (kind as EndKind) : 'failed';
      return { state: 'failed', kind: known, message: message.slice(0, MAX_MESSAGE_LENGTH) };
    }
    case undefined:
      return { state: 'failed', kind: 'failed', message: 'the agent reported no outcome' };
  }
}

const VERDICTS: Readonly<Record<Verdict['kind'], WireVerdict>> = {
  accepted: WireVerdict.VERDICT_ACCEPTED,
  noted: WireVerdict.VERDICT_NOTED,
  stale: WireVerdict.VERDICT_STALE,
  'blob-missing': WireVerdict.VERDICT_BLOB_MISSING,
  none: WireVerdict.VERDICT_UNSPECIFIED,
};

export function verdictKindToWire({ kind }: Verdict): WireVerdict {
  return VERDICTS[kind];
}

export function verdictToWire(token: WireToken | undefined, verdict: Verdict): ResultVerdict {
  const missing = verdict.kind === 'blob-missing' ? verdict.missing : [];
  return { token, verdict: VERDICTS[verdict.kind], missing };
}

/** The answer, unless it is a refusal: that is thrown. */
export function unlessRefused(answer: Answer): Exclude<Answer, { kind: 'refused' }> {
  if (answer.kind !== 'refused') return answer;
  throw new FurrowError(answer.code, answer.reason, answer.message);
}
