/**
 * What a watcher knows of a job, folded from watch events. Pure: the same events give the same model,
 * whatever prints it.
 */
import {
  AttemptOutcome,
  type AttemptEvent,
  type Job,
  type UnitProgress,
  type WatchJobResponse,
} from '../../proto/gen/furrow/v1/job_service.ts';
import { hasEnded, jobStateName } from './names.ts';

/** One attempt that an agent holds. */
export interface RunningUnit {
  readonly unitId: string;
  readonly attempt: number;
  readonly agentId: string;
  /** 0 to 1. */
  readonly fraction: number;
  /** Such as `48 fps`; may be empty. */
  readonly note: string;
}

export interface ProgressModel {
  readonly jobId: string;
  readonly job: Job | undefined;
  /** By unit and attempt, in the order they began. */
  readonly running: ReadonlyMap<string, RunningUnit>;
  /** Attempts that ended lately: progress is lossy and late, and must not bring them back. */
  readonly ended: readonly string[];
  /** Agents' names by id. */
  readonly agentNames: ReadonlyMap<string, string>;
  /** Since when the farm has been out of reach, or has had no news; undefined while it tells. */
  readonly unreachableSinceMs: number | undefined;
}

/** Something that a person wants to be told once, beside the counts. */
export interface Notice {
  readonly tone: 'plain' | 'good' | 'warning' | 'bad';
  readonly text: string;
}

/** What happens to a watcher: the farm's events, and the connection going and coming. */
export type WatchEvent =
  | { readonly kind: 'message'; readonly message: WatchJobResponse }
  /** `isFarmsWord`: a coordinator answers, and gives the reason why it has no news. */
  | { readonly kind: 'unreachable'; readonly reason: string; readonly isFarmsWord: boolean }
  | { readonly kind: 'reachable' };

export function newProgressModel(
  jobId: string,
  agentNames: ReadonlyMap<string, string> = new Map(),
): ProgressModel {
  return {
    jobId,
    job: undefined,
    running: new Map(),
    ended: [],
    agentNames,
    unreachableSinceMs: undefined,
  };
}

export interface Step {
  readonly model: ProgressModel;
  readonly notices: readonly Notice[];
}

/** The model after one event, and what to tell about it. */
export function applyWatchEvent(model: ProgressModel, event: WatchEvent, nowMs: number): Step {
  switch (event.kind) {
    case 'unreachable':
      if (model.unreachableSinceMs !== undefined) return { model, notices: [] };
      return {
        model: { ...model, unreachableSinceMs: nowMs },
        notices: [
          {
            tone: 'warning',
            text: event.isFarmsWord
              ? `no news from the farm: ${event.reason}`
              : 'farm unreachable, trying again…',
          },
        ],
      };
    case 'reachable':
      if (model.unreachableSinceMs === undefined) return { model, notices: [] };
      return {
        model: { ...model, unreachableSinceMs: undefined },
        notices: [{ tone: 'good', text: 'farm answers again' }],
      };
    case 'message':
      return applyMessage(model, event.message);
  }
}

function applyMessage(model: ProgressModel, message: WatchJobResponse): Step {
  switch (message.event?.$case) {
    case 'job':
      return applyJob(model, message.event.value);
    case 'attempts':
      return applyAttempts(model, message.event.value.events);
    case 'progress':
      return { model: applyProgress(model, message.event.value.units), notices: [] };
    default:
      // A newer farm may say more than we understand.
      return { model, notices: [] };
  }
}

function applyJob(model: ProgressModel, job: Job): Step {
  const leasedSteps = new Set(job.steps.filter((step) => step.leased > 0).map((step) => step.name));
  const running = hasEnded(job.state)
    ? new Map<string, RunningUnit>()
    : filterRunning(model.running, (unit) => leasedSteps.has(stepOf(unit.unitId)));
  const before = model.job?.state;
  const notices: Notice[] = [];
  // The end has a line of its own, and the first sight of a job is no change.
  if (before !== undefined && before !== job.state && !hasEnded(job.state)) {
    notices.push({ tone: 'plain', text: `${job.id} is ${jobStateName(job.state)}` });
  }
  return { model: { ...model, job, running }, notices };
}

/** Copied once for a message, not for each of its thousand events. */
interface Draft extends ProgressModel {
  readonly running: Map<string, RunningUnit>;
  readonly ended: string[];
  readonly agentNames: Map<string, string>;
}

function applyAttempts(model: ProgressModel, events: readonly AttemptEvent[]): Step {
  const draft: Draft = {
    ...model,
    running: new Map(model.running),
    ended: [...model.ended],
    agentNames: new Map(model.agentNames),
  };
  const notices = events.flatMap((event) => applyAttempt(draft, event));
  return { model: { ...draft, ended: draft.ended.slice(-MAX_ENDED) }, notices };
}

function applyAttempt(draft: Draft, event: AttemptEvent): Notice[] {
  if (event.agentName !== '') draft.agentNames.set(event.agentId, event.agentName);
  const key = runningKey(event.unitId, event.attempt);
  switch (event.outcome) {
    case AttemptOutcome.ATTEMPT_OUTCOME_GRANTED:
      draft.running.set(key, begun(event));
      return event.attempt > 1 ? [runsAgain(draft, event)] : [];
    case AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED:
      // The first accepted result ends every copy of its unit: earlier attempts, or the one after it.
      for (let attempt = event.attempt + 1; attempt >= 1; attempt -= 1) {
        endRunning(draft, runningKey(event.unitId, attempt));
      }
      return [];
    case AttemptOutcome.ATTEMPT_OUTCOME_ENDED:
      endRunning(draft, key);
      return endNotices(draft, event);
    default:
      return [];
  }
}

function endRunning(draft: Draft, key: string): void {
  draft.running.delete(key);
  draft.ended.push(key);
}

function begun(event: AttemptEvent): RunningUnit {
  const { unitId, attempt, agentId } = event;
  return { unitId, attempt, agentId, fraction: 0, note: '' };
}

function runsAgain(model: ProgressModel, event: AttemptEvent): Notice {
  const text = `${shortUnitId(event.unitId)} goes to ${agentName(model, event.agentId)} (attempt ${event.attempt})`;
  return { tone: 'plain', text };
}

function endNotices(model: ProgressModel, event: AttemptEvent): Notice[] {
  const unit = shortUnitId(event.unitId);
  const agent = agentName(model, event.agentId);
  const because = event.message === '' ? '' : `: ${event.message}`;
  switch (event.failureKind) {
    case 'cancelled':
      return [];
    case 'lost':
      return [{ tone: 'warning', text: `${unit} was lost with ${agent}${because}` }];
    case 'evicted':
      return [{ tone: 'plain', text: `${unit} was given back by ${agent}${because}` }];
    default:
      return [{ tone: 'bad', text: `${unit} ${event.failureKind} on ${agent}${because}` }];
  }
}

function applyProgress(model: ProgressModel, units: readonly UnitProgress[]): ProgressModel {
  const running = new Map(model.running);
  for (const unit of units) {
    const { unitId, attempt, agentId, fraction, note } = unit;
    const key = runningKey(unitId, attempt);
    if (!model.ended.includes(key)) running.set(key, { unitId, attempt, agentId, fraction, note });
  }
  return { ...model, running };
}

/** Name of an agent as far as it is known, else its id. */
export function agentName(model: ProgressModel, agentId: string): string {
  return model.agentNames.get(agentId) ?? agentId;
}

/** `encode/7` of `j12/encode/7`. */
export function shortUnitId(unitId: string): string {
  return unitId.slice(unitId.indexOf('/') + 1);
}

/** `encode` of `j12/encode/7`. */
export function stepOf(unitId: string): string {
  return unitId.split('/')[1] ?? unitId;
}

const runningKey = (unitId: string, attempt: number): string => `${unitId}#${attempt}`;

const MAX_ENDED = 256;

function filterRunning(
  running: ReadonlyMap<string, RunningUnit>,
  keep: (unit: RunningUnit, key: string) => boolean,
): ReadonlyMap<string, RunningUnit> {
  return new Map([...running].filter(([key, unit]) => keep(unit, key)));
}
