/**
 * How long units run, over all agents: soft, learned from the results that come. Of a step that has none yet,
 * what others of its class took.
 */
import type { StepRun } from './farm.ts';
import { paceKeyOf } from './pace.ts';

/** Weight of the latest results. */
const SMOOTHING = 0.3;
/** So many steps, and classes, are remembered. */
const MOST_REMEMBERED = 4_096;

export class RunTimes {
  readonly #steps = new Map<string, number>();
  readonly #classes = new Map<string, number>();

  /** Units of the step ran for so long, on average. */
  note(paceKey: string, meanRunMs: number): void {
    smooth(this.#steps, paceKey, Math.max(0, meanRunMs));
  }

  /** Results of the step were accepted: they speak for its class, too. */
  noteClass(job: number, step: StepRun): void {
    const runMs = this.stepMs(job, step);
    if (runMs !== undefined) smooth(this.#classes, step.classKey, runMs);
  }

  /** How long units of the step ran, in milliseconds; undefined before the first result. */
  stepMs(job: number, { spec }: StepRun): number | undefined {
    return this.#steps.get(paceKeyOf(job, spec.name));
  }

  /** How long a unit of the step will run, in milliseconds; undefined when nothing is known. */
  expectedMs(job: number, step: StepRun): number | undefined {
    const known = this.stepMs(job, step) ?? this.#classes.get(step.classKey);
    if (known !== undefined) return known;
    const { limits } = step;
    // It is ended then.
    return limits.runTimeoutMs > 0 ? limits.runTimeoutMs : undefined;
  }
}

function smooth(times: Map<string, number>, key: string, sampleMs: number): void {
  const before = times.get(key) ?? sampleMs;
  times.delete(key);
  times.set(key, before + SMOOTHING * (sampleMs - before));
  const [oldest] = times.keys();
  if (times.size > MOST_REMEMBERED && oldest !== undefined) times.delete(oldest);
}
