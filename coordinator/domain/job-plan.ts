/**
 * What a job would be if it were submitted now: its steps and units, who could run them, and how long that takes
 * by what such units took before. Nothing of it is promised: the farm may be another by then.
 */
import { type AgentAnswer, agentAnswers } from './agent-answers.ts';
import { remediesOf, whyNoAgent } from './explanation-words.ts';
import { fixedUnitCount, jobId, newStepRuns, type StepRun } from './farm.ts';
import { plainStepName } from './kind-of-work.ts';
import { type LearnedSize, usualRunMs } from './learned-sizes.ts';
import { demandWords } from './misfit.ts';
import { PartPool } from './part-pool.ts';
import type { Seen } from './estimates.ts';
import type { Demand, StepSpec } from './task.ts';
import { placesAt, willTake } from './units-at-once.ts';

export interface StepPlan {
  readonly name: string;
  /** Undefined for a fan-out over what `unitsFrom` makes. */
  readonly units: number | undefined;
  readonly unitsFrom: string;
  /** It has units only if that step fails; undefined for others. */
  readonly insteadOf: string | undefined;
  readonly waitsFor: readonly string[];
  readonly demand: Demand;
  /** Names of agents with room now, and of those that will have some. */
  readonly agentsNow: readonly string[];
  readonly agentsLater: readonly string[];
  /** Why neither are there, and what would help; else empty. */
  readonly missing: string;
  /** Milliseconds. */
  readonly unitMs: number | undefined;
  /** The job that told, such as `j12`; else empty. */
  readonly measuredBy: string;
  readonly time: PlannedTime;
}

/** How long something would take if nothing else ran. */
export type PlannedTime =
  | { readonly state: 'known'; readonly takesMs: number }
  | { readonly state: 'unknown'; readonly reason: string };

export interface JobPlan {
  readonly steps: readonly StepPlan[];
  readonly time: PlannedTime;
}

export function planJob(seen: Seen, recipe: string, specs: readonly StepSpec[]): JobPlan {
  // A pool of its own: these steps are nobody's yet.
  const { learned } = seen.farm;
  const steps = newStepRuns({ parts: new PartPool(), learned }, recipe, specs);
  const answersByClass = new Map<string, readonly AgentAnswer[]>();
  const planOf = (step: StepRun, alike = 1): StepPlan => {
    const answers = answersByClass.get(step.classKey) ?? agentAnswers(seen, step);
    answersByClass.set(step.classKey, answers);
    const measured = measuredRun(seen, step.spec) ?? learnedRun(learned.get(step.kind));
    return planStep(seen, steps, step, alike, answers, measured);
  };
  if (recipe === 'folder') return planOfFolder(steps, planOf);
  const plans = steps.map((step) => planOf(step));
  return { steps: plans, time: timeOfAll(steps, plans) };
}

/** Of the thousands of steps that its films have, one of each kind is told of: the largest. */
function planOfFolder(
  steps: readonly StepRun[],
  planOf: (step: StepRun, alike: number) => StepPlan,
): JobPlan {
  const plainNameOf = (name: string): string => plainStepName('folder', name);
  const kinds = new Map<string, { largest: StepRun; count: number }>();
  for (const step of steps) {
    const name = plainNameOf(step.spec.name);
    const kind = kinds.get(name) ?? { largest: step, count: 0 };
    const isLarger = step.demand.scratchBytes > kind.largest.demand.scratchBytes;
    kinds.set(name, { largest: isLarger ? step : kind.largest, count: kind.count + 1 });
  }
  const plans = [...kinds].map(([name, { largest, count }]) => {
    const { unitsFrom, waitsFor, time, ...plan } = planOf(largest, count);
    const { name: own } = largest.spec;
    return {
      ...plan,
      name,
      time: time.state === 'known' ? time : { ...time, reason: time.reason.replace(own, name) },
      unitsFrom: plainNameOf(unitsFrom),
      waitsFor: [...new Set(waitsFor.map(plainNameOf))],
    };
  });
  // How many pieces films have is known only once they are cut.
  const unknown = plans.find(({ time }) => time.state === 'unknown');
  return { steps: plans, time: unknown?.time ?? { state: 'known', takesMs: 0 } };
}

interface MeasuredRun {
  readonly unitMs: number;
  /** The newest job that told; undefined when it is gone. */
  readonly job: number | undefined;
}

function measuredRun({ farm, liveness }: Seen, spec: StepSpec): MeasuredRun | undefined {
  const run = liveness.runTimes.measuredFor(spec);
  if (run === undefined) return undefined;
  return farm.jobs.has(run.job) ? run : { ...run, job: undefined };
}

/** What the journal knows of its kind, of jobs that may be gone. */
function learnedRun(size: LearnedSize | undefined): MeasuredRun | undefined {
  const unitMs = size && usualRunMs(size);
  return unitMs === undefined ? undefined : { unitMs, job: undefined };
}

function planStep(
  seen: Seen,
  steps: readonly StepRun[],
  step: StepRun,
  /** The plan is of so many steps that are as this one. */
  alike: number,
  answers: readonly AgentAnswer[],
  measured: MeasuredRun | undefined,
): StepPlan {
  const { name, parameters } = step.spec;
  const kind = parameters?.kind;
  const now = answers.filter(({ state }) => state === 'fits');
  const later = answers.filter(willTake);
  const isMissing = now.length + later.length === 0;
  const own = fixedUnitCount(kind);
  const units = own && own * alike;
  const unitsFrom = kind?.$case === 'forEach' ? kind.value.step : '';
  return {
    name,
    units,
    unitsFrom,
    insteadOf: step.spec.insteadOf,
    waitsFor: step.dependencies.flatMap((index) => steps[index]?.spec.name ?? []),
    demand: step.demand,
    agentsNow: now.map((agent) => agent.name),
    agentsLater: later.map((agent) => agent.name),
    missing: isMissing ? missingWords(answers, step) : '',
    unitMs: measured?.unitMs,
    measuredBy: measured?.job === undefined ? '' : jobId(measured.job),
    time: timeOfStep(step, { units, unitsFrom, measured }, () =>
      placesAt(seen, step.demand, [...now, ...later], units ?? 0),
    ),
  };
}

function missingWords(answers: readonly AgentAnswer[], { demand }: StepRun): string {
  const remedies = remediesOf(answers, demandWords(demand)).join('; or ');
  return `${whyNoAgent(answers)}; would help: ${remedies}`;
}

function timeOfStep(
  { spec }: StepRun,
  known: {
    readonly units: number | undefined;
    readonly unitsFrom: string;
    readonly measured: MeasuredRun | undefined;
  },
  places: () => number,
): PlannedTime {
  const { units, unitsFrom, measured } = known;
  if (measured === undefined) {
    return { state: 'unknown', reason: `no unit like those of ${spec.name} ran yet` };
  }
  if (units === undefined) {
    const reason = `how many units ${spec.name} has is known only after ${unitsFrom}`;
    return { state: 'unknown', reason };
  }
  const atOnce = places();
  if (atOnce === 0) return { state: 'unknown', reason: `no agent would run ${spec.name}` };
  return { state: 'known', takesMs: Math.ceil(units / atOnce) * measured.unitMs };
}

/** Steps follow one another as they wait for each other; what can run side by side does. */
function timeOfAll(steps: readonly StepRun[], plans: readonly StepPlan[]): PlannedTime {
  // All is well, as far as plans go: what stands in has nothing to do.
  const sure = plans.filter(({ insteadOf }) => insteadOf === undefined);
  const unknown = sure.find(({ time }) => time.state === 'unknown');
  if (unknown !== undefined) return unknown.time;
  const endMs = new Map<number, number>();
  const endOf = (index: number): number => {
    const known = endMs.get(index);
    if (known !== undefined) return known;
    const { time, insteadOf } = plans[index] ?? {};
    const ownMs = time?.state === 'known' && insteadOf === undefined ? time.takesMs : 0;
    const startMs = Math.max(0, ...(steps[index]?.dependencies ?? []).map(endOf));
    endMs.set(index, startMs + ownMs);
    return startMs + ownMs;
  };
  return { state: 'known', takesMs: Math.max(0, ...steps.map(({ index }) => endOf(index))) };
}
