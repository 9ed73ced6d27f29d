/**
 * What the demo has to tell: who encoded how many chunks, when to kill whom, which units were lost by
 * it and who took them over. Folded from watch events like the progress on the screen; pure.
 */
import {
  AttemptOutcome,
  type AttemptEvent,
  type StepStatus,
} from '../../proto/gen/furrow/v1/job_service.ts';
import {
  agentName,
  applyWatchEvent,
  shortUnitId,
  stepOf,
  type ProgressModel,
  type WatchEvent,
} from '../output/progress-model.ts';

export interface Kill {
  readonly agent: string;
  /** Unix time in milliseconds, like all times here. */
  readonly atMs: number;
  readonly chunksDone: number;
}

/** A unit that went down with the killed agent. */
export interface Loss {
  /** Such as `encode/7`. */
  readonly unit: string;
  readonly agent: string;
  readonly lostAtMs: number;
  /** The attempt that took its place. */
  readonly again?: { readonly agent: string; readonly attempt: number; readonly atMs: number };
}

export interface Story {
  readonly model: ProgressModel;
  /** Accepted chunks by the name of their agent. */
  readonly chunksBy: ReadonlyMap<string, number>;
  readonly kill: Kill | undefined;
  readonly losses: readonly Loss[];
}

/** Half-way, less what the farm goes on encoding until it notices. */
const KILL_FROM = 0.45;
/** From here on one unit is enough: a better moment may not come. */
const KILL_ANYWAY_FROM = 0.6;
const UNITS_WORTH_LOSING = 2;

export function newStory(model: ProgressModel): Story {
  return { model, chunksBy: new Map(), kill: undefined, losses: [] };
}

export function tellStory(story: Story, event: WatchEvent, nowMs: number): Story {
  const { model } = applyWatchEvent(story.model, event, nowMs);
  const told = { ...story, model };
  if (event.kind !== 'message' || event.message.event?.$case !== 'attempts') return told;
  return event.message.event.value.events.reduce(tellAttempt, told);
}

function tellAttempt(story: Story, event: AttemptEvent): Story {
  const agent = agentName(story.model, event.agentId);
  const unit = shortUnitId(event.unitId);
  const { atMs, attempt } = event;
  switch (event.outcome) {
    case AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED: {
      if (stepOf(event.unitId) !== 'encode') return story;
      const chunks = (story.chunksBy.get(agent) ?? 0) + 1;
      return { ...story, chunksBy: new Map(story.chunksBy).set(agent, chunks) };
    }
    case AttemptOutcome.ATTEMPT_OUTCOME_ENDED: {
      if (story.kill?.agent !== agent) return story;
      return { ...story, losses: [...story.losses, { unit, agent, lostAtMs: atMs }] };
    }
    case AttemptOutcome.ATTEMPT_OUTCOME_GRANTED: {
      const losses = story.losses.map((loss) =>
        loss.unit === unit && !loss.again ? { ...loss, again: { agent, attempt, atMs } } : loss,
      );
      return { ...story, losses };
    }
    default:
      return story;
  }
}

/** The agent to kill now: the one with most to lose. Undefined before half-way, and after the kill. */
export function victimOf({ model, kill }: Story): string | undefined {
  const encode = model.job?.steps.find((step) => step.name === 'encode');
  if (kill !== undefined || !encode?.known) return undefined;
  const running = [...model.running.values()].filter((unit) => stepOf(unit.unitId) === 'encode');
  const done = fractionDone(encode, running);
  if (done < KILL_FROM) return undefined;
  const byAgent = new Map<string, number>();
  for (const unit of running) {
    // One without progress may not have begun, and would not be a loss.
    if (unit.fraction === 0) continue;
    const agent = agentName(model, unit.agentId);
    byAgent.set(agent, (byAgent.get(agent) ?? 0) + 1);
  }
  const [most] = [...byAgent].sort(([, a], [, b]) => b - a);
  const isWorthIt = most && (most[1] >= UNITS_WORTH_LOSING || done >= KILL_ANYWAY_FROM);
  return isWorthIt ? most[0] : undefined;
}

function fractionDone(step: StepStatus, running: readonly { fraction: number }[]): number {
  const partly = running.reduce((sum, unit) => sum + unit.fraction, 0);
  return (step.accepted + partly) / Math.max(1, step.total);
}
