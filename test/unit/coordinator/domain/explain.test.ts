/** What holds a unit, agent by agent: the same farm is asked what it would place. */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { type AgentAnswer, agentAnswers } from '../../../../coordinator/domain/agent-answers.ts';
import { type Capacity, NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import {
  type Explanation,
  explainJob,
  explainUnit,
} from '../../../../coordinator/domain/explain.ts';
import { wordsOf } from '../../../../coordinator/domain/explanation-words.ts';
import type { Job } from '../../../../coordinator/domain/farm.ts';
import type { Seen } from '../../../../coordinator/domain/estimates.ts';
import type { Demand } from '../../../../coordinator/domain/task.ts';
import { MAX_DELAY_MS } from '../../../../coordinator/domain/unit-table.ts';
import {
  CAPACITY,
  countOf,
  failed,
  FarmDriver,
  forEach,
  step,
} from '../../../support/farm-driver.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;

let driver: FarmDriver;
let fractions: Map<string, number>;
beforeEach(() => {
  driver = new FarmDriver();
  fractions = new Map();
});

function seen(over: Partial<Seen> = {}): Seen {
  const { farm, liveness, now } = driver;
  const fractionOf = (_job: number, unitId: string): number => fractions.get(unitId) ?? 0;
  return { farm, liveness, now, hearsAgents: true, grantsNothing: undefined, fractionOf, ...over };
}

function unitOf(job: Job, name: string, unit: number, over: Partial<Seen> = {}): Explanation {
  return explainUnit(
    seen(over),
    job,
    job.steps.find(({ spec }) => spec.name === name)!,
    unit,
  );
}

/** Why, and what would help. */
function said(explanation: Explanation): { why: string; unblock: readonly string[] } {
  const nameOf = (agentId: string): string => driver.farm.agents.get(agentId)?.name ?? agentId;
  return wordsOf(explanation, { nowWallMs: driver.now.wallMs, nameOf });
}

const only = (answers: readonly AgentAnswer[]): AgentAnswer => {
  expect(answers).toHaveLength(1);
  return answers[0]!;
};

/** What the agent `den` says to a unit of this demand, on a farm whose jobs were taken before it came. */
function answerTo(demand: Partial<Demand>, den: Partial<Capacity> = {}, busyWith = 0): AgentAnswer {
  const job = driver.submit([step('work', { demand: { ...NO_DEMAND, ...demand } })]);
  driver.decide({ type: 'PauseJob', job: job.number, reason: '' });
  driver.enrol('den', den);
  if (busyWith > 0) {
    driver.submit([step('other', { parameters: countOf(busyWith) })]);
    driver.place();
    driver.beatHolding('den');
  }
  return only(agentAnswers(seen(), job.steps[0]!));
}

describe('an agent’s first reason, with figures', () => {
  const gpu = (id: string, name: string, gib: number, foreignGib = 0) => ({
    id,
    name,
    vramTotalBytes: gib * GIB,
    vramForeignBytes: foreignGib * GIB,
  });
  const rtx = { gpus: [gpu('g0', 'RTX 3060', 12, 4.2)] };
  test.each<[string, Partial<Demand>, Partial<Capacity>, number, string, string]>([
    ['CPUs', { cpuMillis: 8_000 }, {}, 0, 'too-small', 'needs 8 CPUs; has 4'],
    [
      'CPUs that units hold',
      { cpuMillis: 3_000 },
      {},
      2,
      'busy',
      'needs 3 CPUs; has 2 of 4 left (2 booked by units)',
    ],
    [
      'RAM',
      { ramBytes: 16 * GIB },
      {},
      0,
      'too-small',
      'needs 16.0 GiB RAM; has 15.7 of 16.0 GiB left (0.3 kept free)',
    ],
    [
      'RAM that others use',
      { ramBytes: 8 * GIB },
      { ramAvailableBytes: 7 * GIB },
      0,
      'used-by-others',
      'needs 8.0 GiB RAM; has 6.7 of 16.0 GiB left (9.0 used by others, 0.3 kept free)',
    ],
    [
      'a small machine',
      { ramBytes: 900 * MIB },
      { ramTotalBytes: 1000 * MIB, ramAvailableBytes: 1000 * MIB },
      0,
      'too-small',
      'needs 900 MiB RAM; has 744 of 1000 MiB left (256 kept free)',
    ],
    [
      'a byte too many looks so',
      { ramBytes: 4 * GIB - 256 * MIB + 1 },
      { ramTotalBytes: 4 * GIB, ramAvailableBytes: 4 * GIB },
      0,
      'too-small',
      'needs 3.8 GiB RAM; has 3.7 of 4.0 GiB left (0.3 kept free)',
    ],
    [
      'scratch disk',
      { scratchBytes: 200 * GIB },
      {},
      0,
      'too-small',
      'needs 200.0 GiB scratch disk; has 100.0 GiB',
    ],
    [
      'encoder sessions',
      { encoderSessions: 3 },
      {},
      0,
      'too-small',
      'needs 3 encoder sessions; has 2',
    ],
    [
      'VRAM that others use',
      { gpus: 1, vramBytes: 9.1 * GIB },
      rtx,
      0,
      'used-by-others',
      'needs 9.1 GiB VRAM on one GPU; RTX 3060 has 7.5 of 12.0 GiB left (4.2 used by others, 0.3 kept free)',
    ],
    [
      'VRAM',
      { gpus: 1, vramBytes: 12 * GIB },
      rtx,
      0,
      'too-small',
      'needs 12.0 GiB VRAM on one GPU; RTX 3060 has 11.7 of 12.0 GiB left (0.3 kept free)',
    ],
    ['a GPU', { gpus: 1 }, { gpus: [] }, 0, 'too-small', 'needs 1 GPU; has none'],
    ['GPUs', { gpus: 2 }, rtx, 0, 'too-small', 'needs 2 GPUs; has 1'],
    [
      'VRAM on each of several',
      { gpus: 2, vramBytes: 10 * GIB },
      { gpus: [gpu('a', 'big', 24), gpu('b', 'small', 8)] },
      0,
      'too-small',
      'needs 10.0 GiB VRAM on each of 2 GPUs; has that on 1, small has 7.7 of 8.0 GiB left (0.3 kept free)',
    ],
    [
      'capabilities',
      { attributes: ['tool:command', 'encoder:h264_nvenc', 'tool:blender'] },
      {},
      0,
      'lacks',
      'lacks encoder:h264_nvenc, tool:blender',
    ],
    [
      'a program, of those allowed',
      { attributes: ['command:echo'] },
      { programs: { allowed: ['blender', 'ffmpeg'], network: false } },
      0,
      'lacks',
      'does not run echo: its owner allows only blender, ffmpeg (--allow-commands)',
    ],
    [
      'any program',
      { attributes: ['command:echo', 'network'] },
      { programs: { allowed: [], network: false } },
      0,
      'lacks',
      'runs no commands: its owner allows none (--allow-commands)',
    ],
    [
      'the network',
      { attributes: ['command:echo', 'network'] },
      { programs: { allowed: ['*'], network: false } },
      0,
      'lacks',
      'lets no program use the network: its owner did not allow it (--allow-network)',
    ],
    ['a limit', {}, { maxUnits: 2 }, 2, 'busy', 'holds 2 units, the most it takes'],
  ])('%s', (_what, demand, capacity, busyWith, state, reason) => {
    expect(answerTo(demand, capacity, busyWith)).toMatchObject({ state, reason });
  });

  test('room is room, and then a pass places there', () => {
    expect(answerTo({ cpuMillis: 2_000 }, {}, 2).state).toBe('fits');
    driver.decide({ type: 'ResumeJob', job: 1, reason: '' });
    expect(driver.place()).toMatchObject([{ agentId: 'den', job: 1 }]);
  });
});

describe('an agent that takes nothing new', () => {
  test.each<[string, () => void, string]>([
    [
      'drained',
      () => void driver.decide({ type: 'DrainAgent', agent: 'den', draining: true }),
      'it is drained',
    ],
    [
      'without NATS',
      () => void driver.beat('den', { workPlaneUp: false }),
      'it has no connection to NATS',
    ],
    ['silent', () => void driver.pass(16_000), 'it does not answer'],
    [
      'suspect',
      () => void driver.decide({ type: 'StreamClosed', agentId: 'den', session: 'den-session-1' }),
      'its connection is closed',
    ],
    ['leaving', () => void driver.beat('den', { leaving: true }), 'it is leaving'],
    [
      'not back after a takeover',
      () => driver.restart(),
      'it has not been heard of since this coordinator leads',
    ],
  ])('%s', (_what, close, reason) => {
    driver.enrol('den');
    const { number } = driver.submit([step('work')]);
    close();
    const explanation = unitOf(driver.job(number), 'work', 0);
    const { standing } = explanation;
    expect(standing.state === 'waiting' && standing.answers).toMatchObject([
      { state: 'closed', reason },
    ]);
    expect(said(explanation).unblock).toEqual([`den-box when that changes: ${reason}`]);
    expect(driver.place()).toEqual([]);
  });

  test('whose owner uses it, and one whose GPU is lost', () => {
    const [gpu] = CAPACITY.gpus;
    driver.enrol('den', { closedReason: 'its owner is at work: the keyboard was used 12 s ago' });
    driver.enrol('nas', { gpus: [{ ...gpu!, unusableReason: 'it is lost' }] });
    const demand = { ...NO_DEMAND, gpus: 1, vramBytes: GIB };
    const job = driver.submit([step('work', { demand })]);
    expect(said(unitOf(job, 'work', 0))).toEqual({
      why: 'waits: what could run it takes nothing new',
      unblock: [
        'den-box when that changes: its owner is at work: the keyboard was used 12 s ago',
        'nas-box when that changes: needs 1 GPU; has none; GPU cannot be used: it is lost',
      ],
    });
    expect(driver.place()).toEqual([]);
  });

  test('one that could not run it anyway is no help', () => {
    driver.enrol('den', { attributes: [] });
    driver.enrol('nas');
    const attributes = ['tool:command'];
    const job = driver.submit([step('work', { demand: { ...NO_DEMAND, attributes } })]);
    for (const agent of ['den', 'nas'])
      driver.decide({ type: 'DrainAgent', agent, draining: true });
    const { why, unblock } = said(unitOf(job, 'work', 0));
    expect(why).toBe('waits: what could run it takes nothing new');
    expect(unblock).toEqual(['nas-box when that changes: it is drained']);
  });

  test('grants that were refused, and then the class that had no room: each with the time of the next', () => {
    driver.enrol('den');
    const job = driver.submit([step('work')]);
    driver.place();
    const [lease] = driver.leasesOf('den');
    const refused = [{ token: lease!.token, reason: 'a game' }];
    const { session } = driver.liveness.agents.get('den')!;
    const answer = { state: 'answered', refused } as const;
    driver.decide({ type: 'GrantAnswered', agentId: 'den', session, grantNumber: 1, answer });
    const paused = unitOf(job, 'work', 0);
    expect(said(paused)).toEqual({
      why: 'waits: no agent takes it just now; before that it was refused on den-box: a game',
      unblock: ['den-box when it is asked again, in 1 s'],
    });
    expect(paused.standing).toMatchObject({
      answers: [
        {
          state: 'paused',
          reason: 'it refused the last grant, or did not answer: it is asked again in 1 s',
          forMs: 500,
        },
      ],
      startInMs: 500,
    });
    // A grant of another class that is taken ends the agent's pause; this class's goes on.
    driver.decide({
      type: 'GrantAnswered',
      agentId: 'den',
      session,
      grantNumber: 1,
      answer: { state: 'answered', refused: [] },
    });
    const { standing } = unitOf(job, 'work', 0);
    expect(standing).toMatchObject({
      answers: [
        {
          state: 'paused',
          reason: 'it had no room for such units beside 0 a moment ago: it is asked again in 1 s',
        },
      ],
    });
    expect(driver.place()).toEqual([]);
  });
});

describe('what keeps a unit from agents that have room', () => {
  const small = { ...NO_DEMAND, cpuMillis: 1_000 };

  test('the limit of its job, of its owner, a ticket', () => {
    driver.enrol('den');
    const limit = { type: 'SetOwner', name: 'ann', weight: undefined, maxUnits: 1 } as const;
    driver.ask(limit);
    driver.ask({ type: 'SetTickets', name: 'nuke', limit: 1 });
    const two = (demand: Partial<Demand>) => [
      step('work', { parameters: countOf(2), demand: { ...NO_DEMAND, ...demand } }),
    ];
    const capped = driver.submit(two({}), { maxUnits: 1 });
    const owned = driver.submit(two({}), { owner: 'ann' });
    const licensed = driver.submit(two({ tickets: { nuke: 1 } }));
    driver.place();
    driver.beatHolding('den');
    const words = [capped, owned, licensed].map((job) => said(unitOf(job, 'work', 1)));
    expect(words.map(({ why }) => why)).toEqual([
      'waits: its job has 1 of at most 1 units leased',
      'waits: ann has 1 of at most 1 units leased',
      'waits: it needs 1 of ticket nuke, of which 0 of 1 are free',
    ]);
    expect(words[0]?.unblock).toEqual(['one of those ends, or the limit is raised']);
    expect(unitOf(capped, 'work', 1).standing.state).toBe('held-back');
  });

  test('a place that is kept for a larger unit', () => {
    driver.enrol('den');
    driver.submit([step('small', { demand: small, parameters: countOf(4) })]);
    driver.place();
    driver.submit([step('large', { demand: { ...NO_DEMAND, cpuMillis: 4_000 } })], { priority: 1 });
    const more = driver.submit([step('more', { demand: small, parameters: countOf(500) })]);
    for (let second = 0; second <= 61; second += 1) {
      driver.nowMs += 1_000;
      driver.beatHolding('den');
      driver.report(driver.leasesOf('den').slice(0, 1));
      driver.place();
    }
    const waiting = unitOf(more, 'more', 499);
    expect(waiting.standing).toMatchObject({
      answers: [
        { state: 'kept', reason: 'is kept for j2/large, which has found no room for 1 min' },
      ],
    });
    expect(said(waiting).unblock).toEqual([
      'den-box when that is over: it is kept for j2/large, which has found no room for 1 min',
    ]);
    expect(driver.place()).toEqual([]);
  });

  test('an agent that is suspended, and then on trial', () => {
    driver.enrol('den');
    const job = driver.submit([step('work', { parameters: countOf(9) })]);
    driver.place();
    driver.beatHolding('den');
    driver.report(driver.leasesOf('den').slice(0, 1), failed('infrastructure'));
    const answers = (): unknown => {
      const { standing } = unitOf(job, 'work', 8);
      return standing.state === 'waiting' && standing.answers;
    };
    expect(answers()).toMatchObject([
      {
        state: 'paused',
        reason: 'it is suspended for 5 s more: it was infrastructure',
        forMs: 5_000,
      },
    ]);
    driver.pass(6_000);
    driver.beatHolding('den');
    expect(answers()).toMatchObject([
      { state: 'busy', reason: 'is on trial and takes one unit at a time: it was infrastructure' },
    ]);
    expect(driver.place()).toEqual([]);
  });

  test('a unit that has grown is asked for as it is now', () => {
    driver.enrol('den');
    driver.enrol('nas', { ramTotalBytes: 4 * GIB, ramAvailableBytes: 4 * GIB });
    const demand = { ...small, ramBytes: 3 * GIB };
    const job = driver.submit([step('work', { demand })]);
    driver.place();
    const [lease] = [...driver.farm.leases.values()];
    driver.beatHolding(lease!.agentId);
    driver.peak = { ramBytes: 8 * GIB, vramBytes: 0 };
    driver.report([lease!], failed('out-of-memory'));
    const { standing } = unitOf(job, 'work', 0);
    expect(standing).toMatchObject({
      size: { demand: { ramBytes: 12 * GIB } },
      answers: [
        { name: 'den-box', state: 'fits' },
        { name: 'nas-box', state: 'too-small' },
      ],
    });
  });
});

describe('what would help, and when', () => {
  test('the agent whose units end first, by the time that such units took there', () => {
    driver.enrol('den');
    driver.enrol('nas');
    const demand = { ...NO_DEMAND, cpuMillis: 4_000 };
    const job = driver.submit([step('work', { demand, parameters: countOf(6) })]);
    driver.place();
    driver.runMs = 100_000;
    driver.beatHolding('den');
    driver.beatHolding('nas');
    driver.report(driver.leasesOf('den'));
    driver.runMs = 300_000;
    driver.report(driver.leasesOf('nas'));
    driver.place();
    driver.beatHolding('den');
    driver.beatHolding('nas');
    driver.nowMs += 60_000;
    driver.beatHolding('den');
    driver.beatHolding('nas');
    const next = unitOf(job, 'work', 4);
    expect(said(next)).toEqual({
      why: 'waits: no agent has room for it now',
      unblock: [
        'den-box when one of its units ends, in about 40 s',
        'nas-box when one of its units ends, in about 4 min',
      ],
    });
    expect(next.standing).toMatchObject({ ahead: 0, startInMs: 40_000 });
    // Its turn comes after another that takes as long as both together let one through.
    const last = unitOf(job, 'work', 5);
    expect(last.standing).toMatchObject({ ahead: 1, startInMs: 40_000 + 75_000 });
    expect(said(last).why).toBe('waits: no agent has room for it now; 1 unit goes before it');
  });

  test('as many units as must end until there is room', () => {
    driver.enrol('den');
    driver.submit([step('small', { parameters: countOf(4) })]);
    driver.place();
    driver.beatHolding('den');
    const demand = { ...NO_DEMAND, cpuMillis: 3_000 };
    const job = driver.submit([step('large', { demand })]);
    expect(said(unitOf(job, 'large', 0)).unblock).toEqual([
      'den-box when 3 of its units end; nobody knows when',
    ]);
  });

  test('progress tells better than what others took', () => {
    driver.enrol('den', { maxUnits: 1 });
    const job = driver.submit([step('work', { parameters: countOf(2) })]);
    driver.place();
    driver.beatHolding('den');
    driver.nowMs += 30_000;
    driver.beatHolding('den');
    fractions.set('j1/work/0', 0.25);
    const running = unitOf(job, 'work', 0);
    expect(said(running).why).toBe('runs on den-box, 25% done');
    expect(running.standing).toMatchObject({
      leases: [{ endInMs: 90_000, sinceMs: driver.now.wallMs - 30_000, isSinceExact: true }],
    });
    expect(unitOf(job, 'work', 1).standing).toMatchObject({ startInMs: 90_000 });
  });

  test('who is before it in the queue: by priority, then by age; not what nobody could run', () => {
    driver.submit([step('huge', { demand: { ...NO_DEMAND, cpuMillis: 64_000 } })], { priority: 9 });
    driver.enrol('den', { cpuMillis: 1_000 });
    driver.submit([step('running')]);
    driver.place();
    driver.submit([step('urgent', { parameters: countOf(3) })], { priority: 5 });
    driver.submit([
      step('older', { parameters: countOf(2), demand: { ...NO_DEMAND, cpuMillis: 500 } }),
    ]);
    const job = driver.submit([step('mine', { parameters: countOf(2) })]);
    driver.submit([step('younger')]);
    expect(unitOf(job, 'mine', 1).standing).toMatchObject({
      ahead: 3 + 2 + 1,
      startInMs: undefined,
    });
  });

  test('a capability that one otherwise large enough lacks; else all that it needs', () => {
    const attributes = ['encoder:h264_nvenc', 'tool:command'];
    const jobs = [{ cpuMillis: 1_000 }, { cpuMillis: 64_000 }].map((cpus) =>
      driver.submit([step('work', { demand: { ...NO_DEMAND, ...cpus, attributes } })]),
    );
    driver.enrol('den');
    expect(jobs.map((job) => said(unitOf(job, 'work', 0)).unblock)).toEqual([
      ['an agent with encoder:h264_nvenc'],
      ['an agent with 64 CPUs, encoder:h264_nvenc, tool:command'],
    ]);
  });

  test('nothing while the journal takes no commits, whatever there is room for', () => {
    driver.enrol('den');
    const job = driver.submit([step('work')]);
    const doubt = unitOf(job, 'work', 0, { grantsNothing: 'the journal does not answer' });
    expect(said(doubt)).toEqual({ why: 'waits: the journal does not answer', unblock: [] });
    expect(doubt.standing).toMatchObject({ startInMs: undefined });
    expect(said(unitOf(job, 'work', 0)).why).toBe(
      'waits: there is room on den-box, where it is offered next',
    );
  });

  test('a standby says that it cannot know', () => {
    const job = driver.submit([step('work')]);
    const { why, unblock } = said(unitOf(job, 'work', 0, { hearsAgents: false }));
    expect(why).toBe('waits: which agents could take it is known to the leader alone');
    expect(unblock).toEqual([]);
  });
});

describe('what holds a unit before any agent is asked', () => {
  test('steps before it, one that does not know its units too; when the last of them ends', () => {
    driver.enrol('den');
    const job = driver.submit([
      step('split', { parameters: countOf(2) }),
      step('encode', { parameters: forEach('split', 'piece-*') }),
      step('join', { dependsOn: ['split', 'encode'] }),
    ]);
    driver.place();
    driver.beatHolding('den');
    driver.report(driver.leasesOf('den').slice(0, 1));
    driver.nowMs += 20_000;
    driver.beatHolding('den');
    const encode = unitOf(job, 'encode', 0);
    expect(said(encode).why).toBe('waits for step split (1 of 2 done, 1 running)');
    expect(encode.standing).toMatchObject({ startInMs: 40_000 });
    const join = unitOf(job, 'join', 0);
    expect(said(join).why).toBe(
      'waits for steps split (1 of 2 done, 1 running), encode (0 of ? done)',
    );
    expect(join.standing).toMatchObject({ startInMs: undefined });
  });

  test('the pause of its job; what runs meanwhile goes on', () => {
    driver.enrol('den', { maxUnits: 1 });
    const job = driver.submit([step('work', { parameters: countOf(2) })]);
    driver.place();
    driver.beatHolding('den');
    driver.decide({ type: 'PauseJob', job: job.number, reason: '' });
    expect(said(unitOf(job, 'work', 1))).toEqual({
      why: 'waits: the job is paused',
      unblock: ['resume the job'],
    });
    expect(said(unitOf(job, 'work', 0)).why).toBe('runs on den-box');
  });

  test('the time of its next attempt, and why there was no result', () => {
    driver.enrol('den');
    const job = driver.submit([step('work')]);
    driver.place();
    driver.beatHolding('den');
    driver.report(driver.leasesOf('den'), failed('failed'));
    const explanation = unitOf(job, 'work', 0);
    expect(said(explanation).why).toBe(
      'waits for attempt 2, in 1 s; before that it was failed on den-box: it was failed',
    );
    const { standing } = explanation;
    const atMs = standing.state === 'retrying' ? standing.atMs : 0;
    driver.nowMs += atMs - driver.now.wallMs - 1;
    expect(driver.place()).toEqual([]);
    driver.nowMs += 1;
    expect(unitOf(job, 'work', 0).standing.state).toBe('waiting');
    expect(driver.place()).toHaveLength(1);
  });

  test('a clock that was set back by a day: nothing waits until tomorrow, and nobody says so', () => {
    driver.enrol('den');
    const job = driver.submit([step('work', { parameters: countOf(2) })]);
    driver.place();
    driver.beatHolding('den');
    driver.report(driver.leasesOf('den'), failed('failed'));
    expect(stateOf(job)).toBe('retrying');
    driver.wallSetMs = -24 * 3_600_000;
    expect(stateOf(job)).toBe('waiting');
    expect(explainJob(seen(), job).map(({ standing }) => standing.state)).toEqual(['waiting']);
    expect(driver.place()).toHaveLength(1);
  });

  test('a clock that was set back by a little: a retry waits for no longer than the longest pause', () => {
    driver.enrol('den');
    const job = driver.submit([step('work')]);
    driver.place();
    driver.beatHolding('den');
    driver.report(driver.leasesOf('den'), failed('failed'));
    driver.wallSetMs = -4 * 60_000;
    expect(stateOf(job)).toBe('retrying');
    driver.nowMs += MAX_DELAY_MS;
    driver.beatHolding('den');
    expect(driver.place()).toHaveLength(1);
  });

  const stateOf = (job: Job): string => unitOf(job, 'work', 0).standing.state;
});

describe('what is held, and what has ended', () => {
  test('a grant that is on its way, an agent that is silent, one that has not come back', () => {
    driver.enrol('den');
    const job = driver.submit([step('work')]);
    driver.place();
    expect(said(unitOf(job, 'work', 0)).why).toBe('is given to den-box and has not begun yet');
    driver.beatHolding('den');
    driver.decide({ type: 'StreamClosed', agentId: 'den', session: 'den-session-1' });
    driver.pass(5_000);
    expect(said(unitOf(job, 'work', 0)).why).toBe(
      'runs on den-box; the agent does not answer: the unit goes elsewhere in 10 s',
    );
    driver.restart();
    const adopted = unitOf(driver.job(1), 'work', 0);
    expect(said(adopted).why).toContain('the unit goes elsewhere in 20 s');
    expect(adopted.standing).toMatchObject({ leases: [{ isSinceExact: false }] });
  });

  test('a unit that runs twice', () => {
    driver.enrol('den');
    const job = driver.submit([step('work')]);
    driver.place();
    driver.enrol('attic');
    driver.record(driver.copyOf(driver.leasesOf('den')[0]!, 'attic'));
    driver.beatHolding('den');
    const both = 'runs on den-box; its second copy is given to attic-box and has not begun yet';
    expect(said(unitOf(job, 'work', 0)).why).toBe(both);
    expect(explainJob(seen(), job).map((part) => said(part).why)).toEqual([both]);
  });

  test('accepted, failed and cancelled units; a job’s units that stand alike, together', () => {
    driver.enrol('den');
    const job = driver.submit([
      step('work', {
        parameters: countOf(9),
        limits: { maxAttempts: 1, runTimeoutMs: 0, stallTimeoutMs: 0 },
      }),
      step('then', { dependsOn: ['work'] }),
    ]);
    driver.place();
    driver.beatHolding('den');
    const [first, second] = driver.leasesOf('den');
    driver.report([first!]);
    const words = explainJob(seen(), job).map((part) => [part.subject, part.units, said(part).why]);
    expect(words).toEqual([
      ['j1/work', 3, 'are held by den-box (3)'],
      ['j1/work', 5, 'wait: there is room on den-box, where it is offered next'],
      ['j1/then', 1, 'waits for step work (1 of 9 done, 3 running)'],
    ]);
    driver.report([second!], failed('invalid-input'));
    expect(said(unitOf(job, 'work', 0)).why).toBe('is done on den-box');
    expect(said(unitOf(job, 'work', 1))).toEqual({
      why: 'failed for good: invalid-input on den-box: it was invalid-input',
      unblock: ['retry the job'],
    });
    expect(said(unitOf(job, 'work', 8)).why).toMatch(/^ended with the job: /);
    expect(explainJob(seen(), job).map(({ units, standing }) => [units, standing.state])).toEqual([
      [1, 'failed'],
      [7, 'cancelled'],
      [1, 'cancelled'],
    ]);
  });
});

test('a hundred thousand units are explained by their kinds', () => {
  driver.enrol('den');
  const job = driver.submit([step('work', { parameters: countOf(100_000) })]);
  driver.place();
  driver.beatHolding('den');
  expect(explainJob(seen(), job).map(({ units }) => units)).toEqual([4, 99_996]);
  expect(unitOf(job, 'work', 99_999).standing).toMatchObject({ ahead: 99_995 });
});

test('after a pass nothing that still waits has room anywhere', () => {
  const figure = (most: number) => fc.integer({ min: 0, max: most });
  const box = fc.record({
    cpus: figure(8),
    gib: figure(16),
    vramGib: figure(12),
    isDrained: fc.boolean(),
  });
  const work = fc.record({
    cpus: figure(9),
    gib: figure(12),
    gpus: figure(1),
    vramGib: figure(8),
    units: fc.integer({ min: 1, max: 9 }),
  });
  fc.assert(
    fc.property(
      fc.array(box, { maxLength: 5 }),
      fc.array(work, { maxLength: 6 }),
      (boxes, works) => {
        driver = new FarmDriver();
        const jobs = works.map(({ cpus, gib, gpus, vramGib, units }) => {
          const sizes = {
            cpuMillis: cpus * 1000,
            ramBytes: gib * GIB,
            gpus,
            vramBytes: gpus * vramGib * GIB,
          };
          return driver.submit([
            step('work', { parameters: countOf(units), demand: { ...NO_DEMAND, ...sizes } }),
          ]);
        });
        boxes.forEach(({ cpus, gib, vramGib, isDrained }, index) => {
          const agent = `a${index}`;
          const gpus = [{ id: 'g', name: 'G', vramTotalBytes: vramGib * GIB, vramForeignBytes: 0 }];
          const ram = { ramTotalBytes: gib * GIB, ramAvailableBytes: gib * GIB };
          driver.enrol(agent, { cpuMillis: cpus * 1000, ...ram, gpus });
          if (isDrained) driver.decide({ type: 'DrainAgent', agent, draining: true });
        });
        driver.place();
        for (const job of jobs) {
          const [work] = job.steps;
          if (work!.units!.counts.queued === 0) continue;
          expect(agentAnswers(seen(), work!).filter(({ state }) => state === 'fits')).toEqual([]);
        }
      },
    ),
  );
});
