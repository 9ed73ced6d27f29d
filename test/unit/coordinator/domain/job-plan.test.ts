import { beforeEach, expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { type JobPlan, planJob } from '../../../../coordinator/domain/job-plan.ts';
import type { StepSpec, TaskKind } from '../../../../coordinator/domain/task.ts';
import { countOf, FarmDriver, forEach, step } from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

function planOf(...steps: readonly StepSpec[]): JobPlan {
  const { farm, liveness, now } = driver;
  const seen = { farm, liveness, now, hearsAgents: true, grantsNothing: undefined };
  return planJob({ ...seen, fractionOf: () => 0 }, '', steps);
}

/** Runs a job of one step, whose units take so long. */
function run(spec: StepSpec, runMs: number): void {
  driver.submit([spec]);
  driver.runMs = runMs;
  driver.runAll();
}

const command = (...argv: string[]): StepSpec['task'] => {
  const kind: TaskKind = { $case: 'command', value: { argv, environment: {} } };
  return { kind };
};

test('who has room now, who will have, and what is missing when nobody does', () => {
  const demand = { ...NO_DEMAND, cpuMillis: 3_000 };
  expect(planOf(step('work')).steps[0]).toMatchObject({
    agentsNow: [],
    missing: 'no agent is known; would help: an agent with 1 CPU',
  });
  driver.enrol('den');
  driver.enrol('nas', { cpuMillis: 3_000 });
  driver.submit([step('other', { parameters: countOf(2) })]);
  driver.place();
  driver.beatHolding('den');
  driver.beatHolding('nas');
  expect(planOf(step('work', { demand })).steps[0]).toMatchObject({
    agentsNow: ['den-box'],
    agentsLater: ['nas-box'],
    missing: '',
  });
  for (const agent of ['den', 'nas']) driver.decide({ type: 'DrainAgent', agent, draining: true });
  expect(planOf(step('work', { demand })).steps[0]).toMatchObject({
    agentsNow: [],
    agentsLater: [],
    missing:
      'what could run it takes nothing new; would help: den-box when that changes: it is drained; or nas-box when that changes: it is drained',
  });
});

test('nothing was submitted: the farm is as it was', () => {
  driver.enrol('den');
  const before = driver.replayed();
  planOf(step('work'), step('then', { dependsOn: ['work'] }));
  expect(driver.farm).toEqual(before);
});

test('steps side by side take as long as the longest, one after another the sum; as many at once as fit', () => {
  driver.enrol('den');
  driver.enrol('nas');
  run(step('a', { task: command('short') }), 1_000);
  run(step('b', { task: command('long', '--of', 'j2') }), 10_000);
  const plan = planOf(
    step('first', { task: command('short'), parameters: countOf(17) }),
    step('beside', { task: command('long') }),
    step('last', { task: command('short'), dependsOn: ['first', 'beside'] }),
  );
  // Two boxes of four CPUs: seventeen in three rounds.
  expect(plan.steps.map(({ unitMs, measuredBy, time }) => [unitMs, measuredBy, time])).toEqual([
    [1_000, 'j1', { state: 'known', takesMs: 3_000 }],
    [10_000, 'j2', { state: 'known', takesMs: 10_000 }],
    [1_000, 'j1', { state: 'known', takesMs: 1_000 }],
  ]);
  expect(plan.time).toEqual({ state: 'known', takesMs: 11_000 });
  // What stands in for a step that will do well has nothing to do.
  const { steps, time } = planOf(
    step('first', { task: command('short') }),
    step('otherwise', { task: command('never', 'ran'), insteadOf: 'first' }),
    step('last', { task: command('long'), dependsOn: ['first'] }),
  );
  expect(steps.map(({ insteadOf }) => insteadOf)).toEqual([undefined, 'first', undefined]);
  expect(time).toEqual({ state: 'known', takesMs: 11_000 });
});

test('what is not known is said: kinds that never ran, fan-outs, other sizes of a film', () => {
  driver.enrol('den');
  const split = (sizeBytes: number): StepSpec => {
    const kind: TaskKind = { $case: 'split', value: { source: 'film', pieceMs: 0 } };
    const demand = { ...NO_DEMAND, cpuMillis: 1_000, scratchBytes: sizeBytes };
    return step('split', { task: { kind }, demand });
  };
  run(split(1_000), 5_000);
  expect(planOf(split(1_000)).time).toEqual({ state: 'known', takesMs: 5_000 });
  expect(planOf(split(2_000)).time).toEqual({
    state: 'unknown',
    reason: 'no unit like those of split ran yet',
  });
  run(step('work', { task: command('x') }), 2_000);
  const fanOut = planOf(
    split(1_000),
    step('each', { task: command('x'), parameters: forEach('split', '*') }),
  );
  expect(fanOut.steps[1]).toMatchObject({ units: undefined, unitsFrom: 'split', unitMs: 2_000 });
  expect(fanOut.time).toEqual({
    state: 'unknown',
    reason: 'how many units each has is known only after split',
  });
});
