/** The only place that translates between the domain and the protocol's messages. */
import { FurrowError } from '../../kit/furrow-error.ts';
import {
  LeaseState,
  type AdvertiseRequest,
  type Capacity as WireCapacity,
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
  type Result,
  type ResultVerdict,
} from '../../proto/gen/furrow/work/v1/work.ts';
import type { GrantOrder } from '../domain/assignment.ts';
import type { Answer, ReportedOutcome, ReportedResult, Verdict } from '../domain/commands.ts';
import type { Capacity } from '../domain/demand.ts';
import type { EndKind, Fact } from '../domain/facts.ts';
import { type Farm, jobNumberOf, unitId } from '../domain/farm.ts';
import type { Beat, HeldLease, HeldState } from '../domain/liveness.ts';
import { NO_DEMAND } from '../domain/demand.ts';
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

function capacityFromWire(capacity: WireCapacity): Capacity {
  return {
    cpuMillis: capacity.cpuMillis,
    ramTotalBytes: capacity.ramTotalBytes,
    ramAvailableBytes: capacity.ramAvailableBytes,
    scratchFreeBytes: capacity.scratchFreeBytes,
    encoderSessions: capacity.encoderSessions,
    attributes: capacity.attributes,
    gpus: capacity.gpus.map((gpu) => ({
      id: gpu.id,
      name: gpu.name,
      vramTotalBytes: gpu.vramTotalBytes,
      vramForeignBytes: gpu.vramForeignBytes,
    })),
    maxUnits: capacity.maxUnits,
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

export function jobToWire(view: JobView): WireJob {
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

export function grantToWire(order: GrantOrder, farmId: string, epoch: number): Grant {
  return {
    farmId,
    epoch,
    number: order.number,
    steps: order.steps.map((granted) => ({
      jobId: granted.jobId,
      step: granted.spec.name,
      task: granted.spec.task,
      demand: granted.spec.demand ?? NO_DEMAND,
      limits: granted.limits,
      inputs: granted.inputs,
      outputs: granted.spec.outputs,
      leases: granted.leases.map((lease) => ({ ...lease, token: tokenToWire(lease.token) })),
    })),
  };
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
  };
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

export function verdictToWire(token: WireToken | undefined, verdict: Verdict): ResultVerdict {
  const missing = verdict.kind === 'blob-missing' ? verdict.missing : [];
  return { token, verdict: VERDICTS[verdict.kind], missing };
}

/** The answer, unless it is a refusal: that is thrown. */
export function unlessRefused(answer: Answer): Exclude<Answer, { kind: 'refused' }> {
  if (answer.kind !== 'refused') return answer;
  throw new FurrowError(answer.code, answer.reason, answer.message);
}
