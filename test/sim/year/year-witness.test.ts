import { describe, expect, test } from 'vitest';
import { NO_DEMAND } from '../../../coordinator/domain/demand.ts';
import type { EndKind, LeaseEnded, LeasesGranted } from '../../../coordinator/domain/facts.ts';
import type { Token } from '../../../coordinator/domain/token.ts';
import { step } from '../../support/farm-driver.ts';
import { type JobTruth, truthOf } from './unit-truth.ts';
import { YearWitness } from './year-witness.ts';

const HOUR_MS = 3_600_000;
const DEMAND = { ...NO_DEMAND, cpuMillis: 1_000, ramBytes: 2 ** 30 };
const TOKEN = 7 as Token;

/** A job of one unit that runs for an hour; `seed` says what it is really like. */
function job(seed: number): JobTruth {
  const spec = step('work', { demand: DEMAND });
  const work = { spec, kind: 'work', leastRunMs: HOUR_MS, mostRunMs: HOUR_MS * 1.001, outputs: 0 };
  return { clientId: 'client', seed, steps: [work] };
}

/** The first seed whose unit is like that. */
function seedOf(isSo: (truth: ReturnType<typeof truthOf>) => boolean): number {
  for (let seed = 0; ; seed += 1) {
    const made = job(seed);
    if (isSo(truthOf(made, made.steps[0]!, 0))) return seed;
  }
}

const isShort = ({ ramBytes }: { ramBytes: number }): boolean => ramBytes > DEMAND.ramBytes;
const SOUND = seedOf((truth) => truth.poison === undefined && !isShort(truth));
const POISON = seedOf(({ poison }) => poison !== undefined);
const SHORT = seedOf((truth) => truth.poison === undefined && isShort(truth));

class Stage {
  readonly complaints: string[] = [];
  nowMs = 0;
  readonly witness = new YearWitness({
    nowMs: () => this.nowMs,
    demandOf: () => DEMAND,
    complain: (what) => void this.complaints.push(what),
  });

  constructor(seed: number) {
    const made = job(seed);
    this.witness.onSubmit(made);
    this.witness.onStored([
      {
        type: 'JobSubmitted',
        job: 1,
        clientId: made.clientId,
        requestHash: '',
        name: '',
        priority: 0,
        recipe: '',
        steps: made.steps.map(({ spec }) => spec),
        atMs: 0,
      },
    ]);
  }

  grant(): void {
    const fact: LeasesGranted = {
      type: 'LeasesGranted',
      agentId: 'box-1',
      session: 'one',
      grantNumber: 1,
      job: 1,
      step: 0,
      firstToken: TOKEN,
      units: [0],
      attempts: [1],
      gpuIds: [],
      waiting: false,
      copy: false,
      atMs: this.nowMs,
    };
    this.witness.onStored([fact]);
  }

  accept(): void {
    const [units, tokens, attempts] = [[0], [TOKEN], [1]];
    const at = { job: 1, step: 0, agentId: 'box-1', atMs: this.nowMs };
    this.witness.onStored([
      { type: 'ResultsAccepted', units, tokens, attempts, outputs: [], ...at },
    ]);
  }

  giveUp(kind: EndKind): void {
    const fact: LeaseEnded = {
      type: 'LeaseEnded',
      token: TOKEN,
      job: 1,
      step: 0,
      unit: 0,
      attempt: 1,
      agentId: 'box-1',
      kind,
      message: 'so it is',
      next: { kind: 'failed' },
      counts: true,
      lost: false,
      front: false,
      grow: undefined,
      atMs: this.nowMs,
    };
    this.witness.onStored([fact]);
  }
}

describe('the witness of a year says nothing of', () => {
  test('a unit that waits, runs and succeeds', () => {
    const stage = new Stage(SOUND);
    stage.nowMs = HOUR_MS;
    stage.grant();
    stage.witness.onSucceeded(TOKEN);
    stage.accept();
    stage.witness.checkOverdue();
    expect(stage.complaints).toEqual([]);
    expect(stage.witness.waitsMs.get('work')).toEqual([HOUR_MS]);
  });

  test.each([
    ['a poisonous unit that is given up', POISON, 'lost'],
    ['one that was never given the memory it takes', SHORT, 'out-of-memory'],
  ] as const)('%s', (_, seed, kind) => {
    const stage = new Stage(seed);
    stage.grant();
    stage.giveUp(kind);
    expect(stage.complaints).toEqual([]);
  });
});

describe('the witness of a year complains of', () => {
  test.each([
    ['an innocent unit that is given up', SOUND, 'infrastructure'],
    ['one that lacks memory and is given up for something else', SHORT, 'lost'],
  ] as const)('%s', (_, seed, kind) => {
    const stage = new Stage(seed);
    stage.grant();
    stage.giveUp(kind);
    expect(stage.complaints).toEqual([expect.stringContaining('without fault of its own')]);
    expect(stage.witness.counts.innocent).toBe(1);
  });

  test('a result that nobody has', () => {
    const stage = new Stage(SOUND);
    stage.grant();
    stage.accept();
    expect(stage.complaints).toEqual([expect.stringContaining('did not succeed')]);
  });

  test('a second result, and a second run', () => {
    const stage = new Stage(SOUND);
    stage.grant();
    for (let times = 0; times < 2; times += 1) {
      stage.witness.onSucceeded(TOKEN);
      stage.accept();
    }
    stage.grant();
    expect(stage.complaints).toEqual([
      expect.stringContaining('accepted twice'),
      expect.stringContaining('runs again'),
    ]);
  });

  test('a poisonous unit that succeeds', () => {
    const stage = new Stage(POISON);
    stage.grant();
    stage.witness.onSucceeded(TOKEN);
    stage.accept();
    expect(stage.complaints).toEqual([expect.stringContaining('poisonous')]);
  });

  test('a job that does not end, once', () => {
    const stage = new Stage(SOUND);
    stage.nowMs = 54 * HOUR_MS;
    stage.witness.checkOverdue();
    expect(stage.complaints).toEqual([]);
    stage.nowMs = 55 * HOUR_MS;
    stage.witness.checkOverdue();
    stage.witness.checkOverdue();
    expect(stage.complaints).toEqual([expect.stringContaining('has not ended within 54.')]);
  });
});
