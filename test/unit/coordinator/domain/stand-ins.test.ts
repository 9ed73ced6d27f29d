/** Steps that do the work of one that is given up: a film's encoder of hardware, and the one of software. */
import { beforeEach, describe, expect, test } from 'vitest';
import { grantOrders } from '../../../../coordinator/domain/assignment.ts';
import { blobsUsedUp } from '../../../../coordinator/domain/blob-references.ts';
import { explainJob } from '../../../../coordinator/domain/explain.ts';
import { wordsOf } from '../../../../coordinator/domain/explanation-words.ts';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import type { Job } from '../../../../coordinator/domain/farm.ts';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';
import {
  FarmDriver,
  failed,
  forEach,
  step,
  submitJob,
  succeededWith,
} from '../../../support/farm-driver.ts';

const ONE_ATTEMPT = { maxAttempts: 1, runTimeoutMs: 0, stallTimeoutMs: 0 };
const takes = (producer: string, pattern: string): StepSpec['inputs'] => [
  { kind: { $case: 'outputs', value: { step: producer, pattern } } },
];
const leaves = (pattern: string): StepSpec['outputs'] => [
  { pattern, keep: false, optional: false },
];

const FILM: readonly StepSpec[] = [
  step('split', { outputs: leaves('piece-*') }),
  step('hard', {
    parameters: forEach('split', 'piece-*'),
    outputs: leaves('chunk-*'),
    limits: ONE_ATTEMPT,
  }),
  step('soft', {
    parameters: forEach('split', 'piece-*'),
    outputs: leaves('chunk-*'),
    limits: ONE_ATTEMPT,
    insteadOf: 'hard',
  }),
  step('join', { inputs: takes('hard', 'chunk-*') }),
];

type Failure = Parameters<typeof failed>[0];

let driver: FarmDriver;
/** What the one unit of `join` was given. */
let joined: readonly string[];
/** Why units of `soft` were run. */
let because: string | undefined;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1', { maxUnits: 1 });
  [joined, because] = [[], undefined];
});

/** Runs all there is, one unit at a time; those named so fail. */
function run(failing: Readonly<Record<string, Failure>>): void {
  for (let grants = driver.place(); grants.length > 0; grants = driver.place()) {
    for (const { steps } of grantOrders(
      driver.farm,
      grants.map((fact) => ({ fact, slots: 1 })),
    )) {
      for (const { spec, inputs, because: why } of steps) {
        if (spec.name === 'join') joined = inputs.map(({ name }) => name);
        if (spec.name === 'soft') because = why;
      }
    }
    driver.beatHolding('a1');
    driver.reportAs(driver.leasesOf('a1'), ({ job, step: index, unit }) => {
      const name = driver.job(job).steps[index]?.spec.name ?? '';
      const kind = failing[`${name}/${unit}`];
      if (kind !== undefined) return failed(kind);
      if (name === 'split') return succeededWith('piece-0', 'piece-1', 'piece-2');
      return succeededWith(`chunk-${name}-${unit}`);
    });
    driver.nowMs += 60_000;
    driver.beatHolding('a1');
  }
}

const counts = (job: Job): string[] =>
  job.steps.map(({ spec, units }) => {
    const { accepted = 0, failed: lost = 0, cancelled = 0 } = units?.counts ?? {};
    return `${spec.name} ${accepted} ${lost} ${cancelled}`;
  });

function expectSameAfterReplay(): void {
  const image = farmImage(driver.farm);
  expect(farmImage(driver.replayed())).toBe(image);
  expect(farmImage(restoreFarm(captureFarm(driver.farm)))).toBe(image);
}

describe('a step that stands in for another', () => {
  test('has no units where that one does its work, and adds none', () => {
    const job = driver.submit(FILM);
    run({});
    expect(job.end).toMatchObject({ state: 'succeeded', reason: '' });
    expect(counts(job)).toEqual(['split 1 0 0', 'hard 3 0 0', 'soft 0 0 0', 'join 1 0 0']);
    expect(joined).toEqual(['chunk-hard-0', 'chunk-hard-1', 'chunk-hard-2']);
    expectSameAfterReplay();
  });

  test('does all of it where a unit fails for good, and what both made is never mixed', () => {
    const job = driver.submit(FILM);
    run({ 'hard/1': 'failed' });
    const why = 'j1/hard/1 failed: it was failed';
    expect(job.end).toMatchObject({ state: 'succeeded', reason: `soft in place of hard: ${why}` });
    // What had not begun by then never does.
    expect(counts(job)).toEqual(['split 1 0 0', 'hard 1 1 1', 'soft 3 0 0', 'join 1 0 0']);
    expect(joined).toEqual(['chunk-soft-0', 'chunk-soft-1', 'chunk-soft-2']);
    expect(because).toBe(why);
    expectSameAfterReplay();
  });

  test('is no remedy for a source that is broken', () => {
    const job = driver.submit(FILM);
    run({ 'hard/1': 'invalid-input' });
    expect(job.end).toMatchObject({ state: 'failed' });
    expect(job.end?.reason).toBe('j1/hard/1 invalid-input: it was invalid-input');
    expect(counts(job)).toContain('soft 0 0 0');
  });

  test('fails the job as any other; a retry goes on with it', () => {
    const job = driver.submit(FILM);
    run({ 'hard/0': 'bad-output', 'soft/2': 'failed' });
    expect(job.end?.reason).toBe('j1/soft/2 failed: it was failed');
    driver.ask({ type: 'RetryJob', job: 1, reason: '' });
    expectSameAfterReplay();
    run({});
    expect(job.end).toMatchObject({ state: 'succeeded' });
    expect(joined).toEqual(['chunk-soft-0', 'chunk-soft-1', 'chunk-soft-2']);
    expectSameAfterReplay();
  });

  test('what a unit makes that was running when its step was given up is not taken', () => {
    driver = new FarmDriver();
    driver.enrol('a1');
    const job = driver.submit(FILM);
    driver.place();
    driver.beatHolding('a1');
    driver.report(driver.leasesOf('a1'), succeededWith('piece-0', 'piece-1'));
    driver.place();
    driver.beatHolding('a1');
    const [first, second] = driver.leasesOf('a1');
    driver.report([first!], failed('failed'));
    driver.report([second!], succeededWith('chunk-hard-1'));
    run({});
    expect(counts(job)).toEqual(['split 1 0 0', 'hard 1 1 0', 'soft 2 0 0', 'join 1 0 0']);
    expect(joined).toEqual(['chunk-soft-0', 'chunk-soft-1']);
  });

  test('of one unit has it only when it is needed', () => {
    const plain = [
      step('hard', { limits: ONE_ATTEMPT }),
      step('soft', { insteadOf: 'hard' }),
      step('join', { dependsOn: ['hard'] }),
    ];
    driver.submit(plain);
    run({});
    expect(counts(driver.job(1))).toEqual(['hard 1 0 0', 'soft 0 0 0', 'join 1 0 0']);
    driver.submit(plain);
    run({ 'hard/0': 'stalled' });
    expect(counts(driver.job(2))).toEqual(['hard 0 1 0', 'soft 1 0 0', 'join 1 0 0']);
  });

  test('is explained', () => {
    const job = driver.submit(FILM);
    const idle = 'j1/soft: has work only if step hard fails for good ';
    expect(explained(job)).toContain(idle);
    driver.place();
    driver.beatHolding('a1');
    driver.report(driver.leasesOf('a1'), succeededWith('piece-0', 'piece-1'));
    driver.place();
    driver.beatHolding('a1');
    expect(explained(job)).toContain(idle);
    driver.report(driver.leasesOf('a1'), failed('failed'));
    const words = explained(job);
    expect(words).toContain('j1/hard: will not start: step soft does its work ');
    expect(words).toContainEqual(
      expect.stringMatching(/^j1\/hard: failed for good.*; step soft does its work $/),
    );
    // They are needed still.
    expect(blobsUsedUp(job)).toEqual([]);
  });
});

function explained(job: Job): string[] {
  const { farm, liveness, now } = driver;
  const seen = { farm, liveness, now, hearsAgents: true, grantsNothing: undefined };
  const context = { nowWallMs: now.wallMs, nameOf: (id: string) => id };
  return explainJob({ ...seen, fractionOf: () => 0 }, job).map((explanation) => {
    const { why, unblock } = wordsOf(explanation, context);
    return `${explanation.subject}: ${why} ${unblock.join()}`;
  });
}

describe('steps that cannot stand in', () => {
  const refusalOf = (...steps: readonly StepSpec[]): string => {
    const answer = driver.ask(submitJob(steps));
    return answer.kind === 'refused' ? answer.message : 'it was taken';
  };

  test.each<[string, readonly StepSpec[]]>([
    ['stands in for "no", which is no step', [step('a', { insteadOf: 'no' })]],
    [
      'steps b and c both stand in for a',
      [step('a'), step('b', { insteadOf: 'a' }), step('c', { insteadOf: 'a' })],
    ],
    [
      'step c stands in for b, which stands in for a',
      [step('a'), step('b', { insteadOf: 'a' }), step('c', { insteadOf: 'b' })],
    ],
    [
      'takes outputs of a, for which it stands in',
      [step('a'), step('b', { insteadOf: 'a', inputs: takes('a', '*') })],
    ],
    ['stands in for itself', [step('a', { insteadOf: 'a' })]],
  ])('%s', (message, steps) => {
    expect(refusalOf(...steps)).toContain(message);
  });
});
