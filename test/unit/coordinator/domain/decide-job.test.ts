import { beforeEach, describe, expect, test } from 'vitest';
import type { Answer } from '../../../../coordinator/domain/commands.ts';
import { blobsToRun } from '../../../../coordinator/domain/blob-references.ts';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { viewOfJob } from '../../../../coordinator/domain/views.ts';
import {
  countOf,
  FarmDriver,
  failed,
  fileNamed,
  forEach,
  step,
  submitJob,
  succeededWith,
} from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

function reasonOf(answer: Answer): string {
  return answer.kind === 'refused' ? answer.reason : answer.kind;
}

describe('submit', () => {
  test('makes a job with all its units queued', () => {
    const job = driver.submit([step('work', { parameters: countOf(3) })]);
    expect(job.number).toBe(1);
    expect(viewOfJob(job)).toMatchObject({ state: 'queued', steps: [{ total: 3, queued: 3 }] });
  });

  test('that is only validated is checked, and makes nothing', () => {
    const validate = (...steps: StepSpec[]): Answer =>
      driver.ask({ ...submitJob(steps, { clientId: 'film-7' }), validateOnly: true });
    expect(validate(step('work'))).toEqual({ kind: 'done' });
    expect(reasonOf(validate(step('a b')))).toBe('INVALID_JOB');
    expect(driver.farm.jobs.size).toBe(0);
  });

  test('repeated with the same client id is the same job', () => {
    driver.submit([step('work')], { clientId: 'film-7' });
    const again = driver.ask(submitJob([step('work')], { clientId: 'film-7' }));
    expect(again).toEqual({ kind: 'job', job: 1, repeated: true, units: 0 });
    expect(driver.farm.jobs.size).toBe(1);
  });

  test('with a used client id and another content is refused', () => {
    driver.submit([step('work')], { clientId: 'film-7' });
    const other = submitJob([step('work')], { clientId: 'film-7', requestHash: 'other' });
    expect(reasonOf(driver.ask(other))).toBe('CLIENT_ID_REUSED');
  });

  test('of blobs that are not stored is refused and names one', () => {
    const answer = driver.ask(submitJob([step('work')], { missingBlobs: ['abc', 'def'] }));
    expect(answer).toMatchObject({ reason: 'BLOB_MISSING', code: 'failed-precondition' });
    expect(JSON.stringify(answer)).toContain('abc');
  });

  test.each([
    ['no steps', submitJob([])],
    ['a step name with a slash', submitJob([step('a/b')])],
    ['a priority out of range', submitJob([step('work')], { priority: 10_000 })],
    ['a name with a control character', submitJob([step('work')], { name: 'a\nb' })],
    ['an empty client id', submitJob([step('work')], { clientId: '' })],
  ])('with %s is refused and leaves nothing', (_, command) => {
    expect(reasonOf(driver.ask(command))).toBe('INVALID_JOB');
    expect(driver.farm.jobs.size).toBe(0);
  });

  test('of what no agent could ever run names the most that fits', () => {
    driver.enrol('small', { cpuMillis: 2_000 });
    driver.enrol('large', { cpuMillis: 8_000 });
    const demand = { ...NO_DEMAND, cpuMillis: 16_000 };
    const answer = driver.ask(submitJob([step('work', { demand })]));
    expect(answer).toMatchObject({ reason: 'DEMAND_TOO_LARGE' });
    expect(JSON.stringify(answer)).toContain('the most that fits is 8 CPUs, on large-box');
  });

  test('is taken while no agent is known, whatever it needs', () => {
    const demand = { ...NO_DEMAND, cpuMillis: 1_000_000 };
    expect(reasonOf(driver.ask(submitJob([step('work', { demand })])))).toBe('job');
  });
});

describe('a DAG', () => {
  test('runs a step only when those before it are complete', () => {
    driver.enrol('a1');
    driver.submit([
      step('first', { parameters: countOf(2) }),
      step('second', { dependsOn: ['first'] }),
    ]);
    expect(driver.place().map((grant) => grant.step)).toEqual([0]);
    driver.report(driver.leasesOf('a1').slice(0, 1));
    expect(driver.place()).toEqual([]);
    driver.report(driver.leasesOf('a1'));
    expect(driver.place().map((grant) => grant.step)).toEqual([1]);
  });

  test('fans out over outputs, ordered by producing unit, then name, in one commit with them', () => {
    driver.enrol('a1');
    const job = driver.submit([
      step('split', { parameters: countOf(2) }),
      step('encode', {
        parameters: forEach('split', 'piece-*'),
        inputs: [{ kind: { $case: 'item', value: true } }],
      }),
    ]);
    driver.place();
    const leases = driver.leasesOf('a1');
    driver.reportAs(leases.toReversed(), ({ unit }) =>
      succeededWith(`piece-${unit}b`, `piece-${unit}a`, 'notes.txt'),
    );
    expect(job.steps[1]?.items.map((file) => file.name)).toEqual([
      'piece-0a',
      'piece-0b',
      'piece-1a',
      'piece-1b',
    ]);
    expect(driver.facts.at(-1)).toMatchObject({ type: 'UnitsCreated', count: 4 });
  });

  test('with nothing to fan out over ends well', () => {
    driver.enrol('a1');
    const job = driver.submit([
      step('split'),
      step('encode', { parameters: forEach('split', '*') }),
    ]);
    driver.runAll();
    expect(job.end?.state).toBe('succeeded');
  });

  test('ends when all of it is accepted, with the outputs that were to be kept', () => {
    driver.enrol('a1');
    const outputs = [
      { pattern: '*.mp4', keep: true, optional: false },
      { pattern: '*.log', keep: false, optional: true },
    ];
    const job = driver.submit([step('work', { outputs })]);
    driver.place();
    driver.report(driver.leasesOf('a1'), succeededWith('film.mp4', 'work.log'));
    const view = viewOfJob(job);
    expect(view.state).toBe('succeeded');
    expect(view.outputs.map((file) => file.name)).toEqual(['film.mp4']);
  });
});

describe('cancel', () => {
  test('ends all of it at once and tells the agents', () => {
    driver.enrol('a1');
    const job = driver.submit([step('work', { parameters: countOf(9) })]);
    driver.place();
    const tokens = driver.leasesOf('a1').map((lease) => lease.token);
    driver.ask({ type: 'CancelJob', job: 1, reason: 'no more' });
    expect(job.end).toMatchObject({ state: 'cancelled', reason: 'no more' });
    expect(driver.stops).toEqual([{ agentId: 'a1', tokens }]);
    expect(driver.farm.leases.size).toBe(0);
  });

  test('is final: a result that comes later is stale', () => {
    driver.enrol('a1');
    driver.submit([step('work')]);
    driver.place();
    const leases = driver.leasesOf('a1');
    driver.ask({ type: 'CancelJob', job: 1, reason: '' });
    expect(driver.report(leases)).toEqual([{ kind: 'stale' }]);
  });

  test('of a job that has ended is refused, of a cancelled one it is the same again', () => {
    driver.enrol('a1');
    driver.submit([step('work')]);
    driver.runAll();
    const cancel = { type: 'CancelJob', job: 1, reason: '' } as const;
    expect(reasonOf(driver.ask(cancel))).toBe('JOB_ENDED');
    driver.submit([step('work')]);
    driver.ask({ ...cancel, job: 2 });
    expect(driver.ask({ ...cancel, job: 2 })).toMatchObject({ kind: 'job', repeated: true });
  });

  test('of an unknown job says so', () => {
    expect(reasonOf(driver.ask({ type: 'CancelJob', job: 5, reason: '' }))).toBe('JOB_UNKNOWN');
  });
});

describe('pause', () => {
  test('stops new leases; what runs counts', () => {
    driver.enrol('a1', { cpuMillis: 1_000 });
    const job = driver.submit([step('work', { parameters: countOf(2) })]);
    driver.place();
    driver.ask({ type: 'PauseJob', job: 1, reason: '' });
    driver.report(driver.leasesOf('a1'));
    expect(driver.place()).toEqual([]);
    expect(viewOfJob(job)).toMatchObject({ state: 'paused', steps: [{ accepted: 1, queued: 1 }] });
    driver.ask({ type: 'ResumeJob', job: 1, reason: '' });
    driver.runAll();
    expect(job.end?.state).toBe('succeeded');
  });
});

describe('retry', () => {
  test('runs what failed again and keeps what was accepted', () => {
    driver.enrol('a1');
    const job = driver.submit([step('work', { parameters: countOf(3) })]);
    driver.place();
    const [first, second] = driver.leasesOf('a1');
    driver.report([first!]);
    driver.report([second!], failed('invalid-input'));
    expect(job.end?.state).toBe('failed');
    expect(job.end?.reason).toContain('j1/work/1');
    expect(driver.ask({ type: 'RetryJob', job: 1, reason: '' })).toMatchObject({ units: 2 });
    expect(job.steps[0]?.units?.counts).toMatchObject({ accepted: 1, queued: 2 });
    driver.runAll();
    expect(job.end?.state).toBe('succeeded');
  });

  test.each(['open', 'succeeded', 'cancelled'])('of a job that is %s is refused', (state) => {
    driver.enrol('a1');
    driver.submit([step('work')]);
    if (state === 'succeeded') driver.runAll();
    if (state === 'cancelled') driver.ask({ type: 'CancelJob', job: 1, reason: '' });
    expect(reasonOf(driver.ask({ type: 'RetryJob', job: 1, reason: '' }))).toBe('JOB_NOT_FAILED');
  });

  test('after a fan-out does not create its units again', () => {
    driver.enrol('a1');
    const job = driver.submit([
      step('split'),
      step('encode', { parameters: forEach('split', '*') }),
    ]);
    driver.place();
    driver.report(driver.leasesOf('a1'), succeededWith('p1', 'p2'));
    driver.place();
    driver.report(driver.leasesOf('a1').slice(0, 1), failed('invalid-input'));
    driver.ask({ type: 'RetryJob', job: 1, reason: '' });
    driver.runAll();
    expect(job.end?.state).toBe('succeeded');
    expect(driver.facts.filter((fact) => fact.type === 'UnitsCreated')).toHaveLength(1);
  });
});

describe('drain', () => {
  test('by name or id gives the agent nothing new', () => {
    driver.enrol('a1');
    driver.ask({ type: 'DrainAgent', agent: 'a1-box', draining: true });
    driver.submit([step('work')]);
    expect(driver.place()).toEqual([]);
    driver.ask({ type: 'DrainAgent', agent: 'a1', draining: false });
    expect(driver.place()).toHaveLength(1);
  });

  test('of an unknown agent says so', () => {
    const drain = { type: 'DrainAgent', agent: 'nobody', draining: true } as const;
    expect(reasonOf(driver.ask(drain))).toBe('AGENT_UNKNOWN');
  });
});

describe('what a failed job needs to run again', () => {
  test('is its inputs and what its open steps use, not what is used up', () => {
    driver.enrol('a1');
    const source = { kind: { $case: 'file', value: fileNamed('source') } } as const;
    const outputsOf = (name: string) =>
      [{ kind: { $case: 'outputs', value: { step: name, pattern: '*' } } }] as const;
    const job = driver.submit([
      step('split', { inputs: [source] }),
      step('encode', { inputs: outputsOf('split') }),
      step('join', { inputs: outputsOf('encode') }),
    ]);
    const made = [succeededWith('piece'), succeededWith('part'), failed('invalid-input')];
    for (const [index, outcome] of made.entries()) {
      driver.place();
      const sha256 = String(index).repeat(64);
      const leases = driver.leasesOf('a1');
      driver.report(
        leases,
        outcome.state === 'failed'
          ? outcome
          : { ...outcome, outputs: [{ ...fileNamed('x'), sha256 }] },
      );
    }
    expect(job.end?.state).toBe('failed');
    expect(blobsToRun(job)).toEqual([fileNamed('source').sha256, '1'.repeat(64)]);
  });

  test('must be stored, else the retry is refused and names one', () => {
    driver.enrol('a1');
    driver.submit([step('work')]);
    driver.place();
    driver.report(driver.leasesOf('a1'), failed('invalid-input'));
    const retry = { type: 'RetryJob', job: 1, reason: '' } as const;
    const refusal = driver.ask({ ...retry, missingBlobs: ['abc'] });
    expect(reasonOf(refusal)).toBe('BLOB_MISSING');
    expect(reasonOf(driver.ask({ ...retry, missingBlobs: [] }))).toBe('job');
  });
});
