/**
 * How long units run, whoever runs them: soft, learned from the results that come. Of a step: on average, and
 * what is usual, which neither one slow agent nor one odd unit moves. Of a step that has no result yet: what others
 * of its class took. Of a job that is only planned: what steps that do alike took. Milliseconds by the agents'
 * own clocks; undefined where nothing is known. `pace.ts` is what a single agent takes.
 */
import { NO_DEMAND } from './demand.ts';
import type { StepRun } from './farm.ts';
import { paceKeyOf } from './pace.ts';
import type { StepSpec } from './task.ts';

/** Weight of the latest results. */
const SMOOTHING = 0.3;
/** So many steps, classes, and kinds of steps are remembered. */
const MOST_REMEMBERED = 4_096;
/** What is usual is the middle one of so many. */
const LATEST = 31;
/** Fewer tell nothing. */
export const MIN_RESULTS = 3;

/** What units of steps that do alike took. */
export interface MeasuredRun {
  readonly unitMs: number;
  /** The newest job that told. */
  readonly job: number;
}

interface StepTimes {
  readonly meanMs: number;
  /** Oldest first. */
  readonly latestMs: number[];
}

export class RunTimes {
  /** By job and step (`paceKeyOf`). */
  readonly #steps = new Map<string, StepTimes>();
  readonly #classes = new Map<string, number>();
  readonly #alike = new Map<string, MeasuredRun>();

  /** Units of the step ran for so long, on average. `eachMs`: those that nobody told of before. */
  note(paceKey: string, meanRunMs: number, eachMs: readonly number[] = []): void {
    const before = this.#steps.get(paceKey);
    const meanMs = smoothed(before?.meanMs, Math.max(0, meanRunMs));
    const latestMs = before?.latestMs ?? [];
    latestMs.push(...eachMs);
    if (latestMs.length > LATEST) latestMs.splice(0, latestMs.length - LATEST);
    remember(this.#steps, paceKey, { meanMs, latestMs });
  }

  /** Results of the step were accepted: they speak for its class, and for steps that do alike. */
  noteAccepted(job: number, step: StepRun): void {
    const runMs = this.stepMs(job, step);
    if (runMs === undefined) return;
    const { classKey, spec } = step;
    remember(this.#classes, classKey, smoothed(this.#classes.get(classKey), runMs));
    const doing = doingOf(spec);
    const before = this.#alike.get(doing);
    const unitMs = before?.job === job ? runMs : smoothed(before?.unitMs, runMs);
    remember(this.#alike, doing, { unitMs, job: Math.max(job, before?.job ?? 0) });
  }

  /** The step has ended with its job. */
  forget(job: number, { spec }: StepRun): void {
    this.#steps.delete(paceKeyOf(job, spec.name));
  }

  /** How long units of the step ran on average; undefined before the first result. */
  stepMs(job: number, { spec }: StepRun): number | undefined {
    return this.#steps.get(paceKeyOf(job, spec.name))?.meanMs;
  }

  /** What a unit of the step usually takes; undefined while too few are done. */
  usualMs(job: number, { spec }: StepRun): number | undefined {
    const latestMs = this.#steps.get(paceKeyOf(job, spec.name))?.latestMs ?? [];
    if (latestMs.length < MIN_RESULTS) return undefined;
    return latestMs.toSorted((a, b) => a - b)[Math.floor(latestMs.length / 2)];
  }

  /** How long a unit of the step will run. */
  expectedMs(job: number, step: StepRun): number | undefined {
    const known = this.stepMs(job, step) ?? this.#classes.get(step.classKey);
    if (known !== undefined) return known;
    const { limits } = step;
    // It is ended then.
    return limits.runTimeoutMs > 0 ? limits.runTimeoutMs : undefined;
  }

  /** What units took of steps that do as this one would. */
  measuredFor(spec: StepSpec): MeasuredRun | undefined {
    return this.#alike.get(doingOf(spec));
  }
}

function smoothed(beforeMs: number | undefined, sampleMs: number): number {
  return beforeMs === undefined ? sampleMs : beforeMs + SMOOTHING * (sampleMs - beforeMs);
}

/** Those that were noted long ago are forgotten first. */
function remember<T>(times: Map<string, T>, key: string, value: T): void {
  times.delete(key);
  times.set(key, value);
  const [oldest] = times.keys();
  if (times.size > MOST_REMEMBERED && oldest !== undefined) times.delete(oldest);
}

/** Units of steps that do the same, with the same demand, take about as long. */
function doingOf({ task, demand = NO_DEMAND }: StepSpec): string {
  const { cpuMillis, ramBytes, gpus, vramBytes, encoderSessions, attributes } = demand;
  const needs = [cpuMillis, ramBytes, gpus, vramBytes, encoderSessions, ...attributes];
  return JSON.stringify([...workOf(task?.kind, demand.scratchBytes), needs]);
}

function workOf(kind: NonNullable<StepSpec['task']>['kind'], scratchBytes: number): unknown[] {
  switch (kind?.$case) {
    case undefined:
      return [];
    case 'command':
      return [kind.$case, kind.value.argv[0] ?? ''];
    case 'encode':
      return [kind.$case, kind.value.video, kind.value.steady === true];
    case 'encodeProxy':
    case 'detectMotion':
    case 'normaliseClip':
      return [kind.$case, kind.value];
    case 'interpolate':
    case 'upscale':
      return [kind.$case, kind.value.use?.model?.sha256 ?? '', kind.value.video];
    case 'upscaleImages':
      return [kind.$case, kind.value.use?.model?.sha256 ?? ''];
    case 'measure':
      return [kind.$case, kind.value.video];
    // Samples are of one length, whatever the film's.
    case 'findQuality':
      return [kind.$case, kind.value.video];
    case 'planRates':
    case 'noop':
    case 'checkModel':
    case 'tabulate':
    case 'scanScene':
    case 'proveRender':
      return [kind.$case];
    case 'inferPictures':
    case 'inferFrames':
      return [kind.$case, kind.value.looking?.model?.sha256 ?? ''];
    case 'renderFrames':
      return [kind.$case, kind.value.settings];
    case 'filmFrames':
      return [kind.$case, kind.value.video];
    case 'renderShot': {
      const { film } = kind.value;
      return [kind.$case, film?.width, film?.height, film?.encoder, film?.preset, film?.stabilize];
    }
    case 'enlargeShot': {
      const { film, use } = kind.value;
      return [kind.$case, film?.width, film?.height, film?.encoder, use?.model?.sha256 ?? ''];
    }
    case 'analyzeClip':
    case 'analyzeMusic':
    case 'planCuts':
    case 'takePieces':
    case 'makeProxy':
    case 'joinMontage':
    case 'proveMontage':
    // These go through the whole film, or all results: one of another size takes another time.
    case 'joinResults':
    case 'proveResults':
    case 'split':
    case 'audio':
    case 'concat':
    case 'proveFilm':
    case 'smoothMotion':
    case 'joinSounds':
    case 'surveyClips':
    case 'extractSound':
    case 'proveSound':
    case 'takeThumbnails':
    case 'proveThumbnails':
    case 'packageFilms':
    case 'provePackage':
      return [kind.$case, scratchBytes];
  }
}
