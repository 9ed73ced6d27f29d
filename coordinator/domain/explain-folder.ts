/**
 * Where a folder's job stands. Each of its films has steps of its own, thousands in all: of those that do the
 * same and stand alike one is looked at, and told of for all.
 */
import type { Explanation, Look, Standing, StepWait, Way } from './explain.ts';
import { type Job, jobId, type StepRun } from './farm.ts';
import { plainStepName } from './kind-of-work.ts';
import { isGivenUp } from './stand-ins.ts';
import { isUnblocked } from './tolerance.ts';
import type { UnitTable } from './unit-table.ts';

type RoughState = 'blocked' | 'given-up' | 'queued' | 'held' | 'failed' | 'cancelled';

const ROUGHLY: Readonly<Record<Standing['state'], RoughState | undefined>> = {
  paused: 'queued',
  blocked: 'blocked',
  standby: 'blocked',
  'given-up': 'given-up',
  retrying: 'queued',
  'held-back': 'queued',
  waiting: 'queued',
  held: 'held',
  accepted: undefined,
  failed: 'failed',
  cancelled: 'cancelled',
};

/** Steps that do the same, and units of theirs that stand alike. */
interface Alike {
  readonly name: string;
  readonly state: RoughState;
  readonly steps: StepRun[];
  units: number;
}

export function explainFolder(look: Look, job: Job): Explanation[] {
  // In the order in which a film goes through them.
  const kinds = new Map<string, Map<RoughState, Alike>>();
  for (const step of job.steps) {
    const name = plainStepName(job.recipe, step.spec.name);
    const groups = kinds.get(name) ?? new Map<RoughState, Alike>();
    kinds.set(name, groups);
    for (const [state, units] of roughStates(job, step)) {
      const alike = groups.get(state) ?? { name, state, steps: [], units: 0 };
      alike.steps.push(step);
      alike.units += units;
      groups.set(state, alike);
    }
  }
  return [...kinds.values()].flatMap((groups) =>
    [...groups.values()].flatMap((alike) => explanationsOf(look, job, alike)),
  );
}

function roughStates(job: Job, step: StepRun): [RoughState, number][] {
  if (step.units === undefined) return job.end === undefined ? [['blocked', 0]] : [];
  const { leased, queued, failed, cancelled } = step.units.counts;
  const waits = queued > 0 ? whyItWaits(job, step) : 'queued';
  const states: [RoughState, number][] = [
    ['held', leased],
    [waits, queued],
    ['failed', failed],
    ['cancelled', cancelled],
  ];
  return states.filter(([, units]) => units > 0);
}

function whyItWaits(job: Job, step: StepRun): RoughState {
  if (isGivenUp(job, step)) return 'given-up';
  return isUnblocked(job, step) ? 'queued' : 'blocked';
}

function explanationsOf(look: Look, job: Job, alike: Alike): Explanation[] {
  const { name, state, steps, units } = alike;
  const subject = `${jobId(job.number)}/${name}`;
  if (state === 'held') return [{ subject, units, attempts: 0, standing: look.heldOf(steps) }];
  const [first] = steps;
  const ways = first === undefined ? [] : look.waysOf(first);
  const told = ways.filter(({ standing }) => ROUGHLY[standing.state] === state);
  const others = sum(told.slice(1));
  return told.map((way, index) => ({
    subject,
    // Those of the other steps are taken to stand as most of the first one's do.
    units: index === 0 ? units - others : way.units,
    attempts: 0,
    standing: way.standing.state === 'blocked' ? together(job, way.standing) : way.standing,
  }));
}

/** It waits for steps of its own film; told is how far those of all films are. */
function together(job: Job, standing: Standing & { readonly state: 'blocked' }): Standing {
  const names = new Set(standing.by.map(({ step }) => plainStepName(job.recipe, step)));
  const by = [...names].map((name): StepWait => {
    const steps = job.steps.filter(({ spec }) => plainStepName(job.recipe, spec.name) === name);
    const isKnown = steps.every(({ units }) => units !== undefined);
    return {
      step: name,
      accepted: sumOf(steps, (units) => units.counts.accepted),
      total: isKnown ? sumOf(steps, (units) => units.size) : undefined,
      running: sumOf(steps, (units) => units.counts.leased),
    };
  });
  return { ...standing, by };
}

function sumOf(steps: readonly StepRun[], count: (units: UnitTable) => number): number {
  return steps.reduce((total, { units }) => total + (units === undefined ? 0 : count(units)), 0);
}

function sum(ways: readonly Way[]): number {
  return ways.reduce((total, { units }) => total + units, 0);
}
