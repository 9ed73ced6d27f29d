/**
 * What units of a kind took in jobs that are still known of: agents' paces, which are kept by job and step,
 * gathered by what the steps do.
 */
import type { Farm } from './farm.ts';
import type { Liveness } from './liveness.ts';
import type { StepSpec } from './task.ts';
import { NO_DEMAND } from './demand.ts';

export interface MeasuredRun {
  /** Milliseconds, on average over the agents that told. */
  readonly unitMs: number;
  /** The newest job that told; undefined when it is gone. */
  readonly job: number | undefined;
}

/** By kind. */
export type MeasuredRuns = ReadonlyMap<string, MeasuredRun>;

interface Sum {
  runMs: number;
  count: number;
  job: number;
}

export function measuredRuns({ jobs }: Farm, { agents }: Liveness): MeasuredRuns {
  const sums = new Map<string, Sum>();
  for (const { paces } of agents.values()) {
    for (const [key, { runMs }] of paces) {
      const found = runMs === undefined ? undefined : stepOfPace(jobs, key);
      if (runMs === undefined || found === undefined) continue;
      const kind = kindOf(found.spec);
      const sum = sums.get(kind) ?? { runMs: 0, count: 0, job: 0 };
      sums.set(kind, sum);
      sum.runMs += runMs;
      sum.count += 1;
      sum.job = Math.max(sum.job, found.job);
    }
  }
  return new Map(
    [...sums].map(([kind, { runMs, count, job }]) => [kind, { unitMs: runMs / count, job }]),
  );
}

/** See paceKeyOf. */
function stepOfPace(jobs: Farm['jobs'], key: string): { job: number; spec: StepSpec } | undefined {
  const space = key.indexOf(' ');
  const job = Number(key.slice(0, space));
  const name = key.slice(space + 1);
  const step = jobs.get(job)?.steps.find(({ spec }) => spec.name === name);
  return step && { job, spec: step.spec };
}

/** Units of steps with the same kind take about as long. */
export function kindOf({ task, demand = NO_DEMAND }: StepSpec): string {
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
      return [kind.$case, kind.value.video];
    case 'noop':
      return [kind.$case];
    // These go through the whole film: one of another size takes another time.
    case 'split':
    case 'audio':
    case 'concat':
    case 'proveFilm':
      return [kind.$case, scratchBytes];
  }
}
