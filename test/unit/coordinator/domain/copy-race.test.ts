/** A unit that two agents run: which end, which result and which order means what for the other. */
import { beforeEach, describe, expect, test } from 'vitest';
import { checkFarm } from '../../../../coordinator/domain/check-farm.ts';
import { EMPTY_TAIL } from '../../../../coordinator/journal/chain.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../../coordinator/journal/snapshot-codec.ts';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import type { Lease } from '../../../../coordinator/domain/farm.ts';
import { unitsLeftOfJob } from '../../../../coordinator/domain/hold-back.ts';
import { leasesOfJob } from '../../../../coordinator/domain/track.ts';
import {
  UNIT_ACCEPTED,
  UNIT_LEASED,
  type UnitTable,
} from '../../../../coordinator/domain/unit-table.ts';
import { viewOfUnits } from '../../../../coordinator/domain/views.ts';
import {
  countOf,
  FarmDriver,
  failed,
  held,
  LEASE_TTL_MS,
  step,
  succeededWith,
} from '../../../support/farm-driver.ts';

const NO_PEAK = { ramBytes: 0, vramBytes: 0 };

let driver: FarmDriver;
let first: Lease;
let copy: Lease;

/** Unit 0 of the step runs on `a1`, and a copy of it on `a2`. */
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1');
  driver.submit([step('work', { parameters: countOf(1) }), step('last', { dependsOn: ['work'] })]);
  driver.place();
  driver.enrol('a2');
  first = leaseOn('a1');
  driver.record(driver.copyOf(first, 'a2'));
  copy = leaseOn('a2');
  for (const agentId of ['a1', 'a2']) driver.beatHolding(agentId);
});

function leaseOn(agentId: string): Lease {
  const [lease, ...others] = driver.leasesOf(agentId);
  if (lease === undefined || others.length > 0) throw new Error(`${agentId} has not one lease`);
  return lease;
}

function units(): UnitTable {
  const table = driver.job(1).steps[0]?.units;
  if (table === undefined) throw new Error('no units');
  return table;
}

const lastEnd = () => driver.facts.findLast((fact) => fact.type === 'LeaseEnded');
/** By its place: the first lease of the unit, or its copy. */
const both = [
  { name: 'the first', own: () => first, other: () => copy },
  { name: 'the copy', own: () => copy, other: () => first },
];

test('a copy is a lease of its own: its token, its attempt, its booking', () => {
  expect(copy).toMatchObject({ unit: first.unit, attempt: 2, agentId: 'a2' });
  expect(copy.token).not.toBe(first.token);
  expect(driver.farm.agents.get('a2')?.booking.cpuMillis).toBe(1_000);
  expect(units().counts).toMatchObject({ leased: 1, queued: 0 });
});

describe.each(both)('the result of $name', ({ own, other }) => {
  test('ends both leases in one decision, and stops the other', () => {
    const [mine, beaten] = [own(), other()];
    const before = driver.facts.length;
    const decision = driver.decide({
      type: 'ReportResults',
      agentId: mine.agentId,
      session: mine.session,
      results: [
        {
          token: mine.token,
          job: 1,
          step: 'work',
          unit: 0,
          outcome: succeededWith('out'),
          runMs: 1,
          peak: NO_PEAK,
          missingBlobs: [],
        },
      ],
    });
    expect(driver.facts.slice(before)).toMatchObject([
      { type: 'LeaseEnded', token: beaten.token, kind: 'cancelled', next: { kind: 'nothing' } },
      { type: 'ResultsAccepted', tokens: [mine.token], attempts: [mine.attempt] },
    ]);
    expect(decision.stops).toEqual([{ agentId: beaten.agentId, tokens: [beaten.token] }]);
    expect(decision.barrier).toBe('decided');
    expect(driver.farm.leases.size).toBe(0);
    expect(units().stateOf(0)).toBe(UNIT_ACCEPTED);
    expect(units().lostAttempts).toBe(0);
    expect(driver.farm.agentByNumber[units().agentOf(0) - 1]?.id).toBe(mine.agentId);
  });

  test('is accepted again when it is repeated, and the other one is stale', () => {
    expect(driver.report([own()])).toEqual([{ kind: 'accepted' }]);
    expect(driver.report([own()])).toEqual([{ kind: 'accepted' }]);
    expect(driver.report([other()])).toEqual([{ kind: 'stale' }]);
    expect(driver.report([other()], failed('failed'))).toEqual([{ kind: 'stale' }]);
    expect(driver.facts.filter(({ type }) => type === 'ResultsAccepted')).toHaveLength(1);
  });

  test('leaves the other booked until its agent no longer lists it, and tells it to stop', () => {
    driver.report([own()]);
    const { agentId, token } = other();
    const ghosts = driver.liveness.agents.get(agentId)?.ghosts;
    expect([...(ghosts?.keys() ?? [])]).toEqual([token]);
    expect(driver.beat(agentId).stops).toEqual([{ agentId, tokens: [token] }]);
    driver.beat(agentId, { inventory: [] });
    expect(ghosts?.size).toBe(0);
  });
});

describe.each(both)('the end of $name', ({ own, other }) => {
  test.each([
    'failed',
    'timed-out',
    'bad-output',
    'out-of-memory',
    'infrastructure',
    'evicted',
  ] as const)('as %s neither requeues nor counts while the other lives', (kind) => {
    expect(driver.report([own()], failed(kind))).toEqual([{ kind: 'noted' }]);
    const next = { kind: 'nothing' };
    expect(lastEnd()).toMatchObject({ kind, next, counts: false, lost: false, front: false });
    expect(units().stateOf(0)).toBe(UNIT_LEASED);
    expect(units().failureCountOf(0)).toBe(0);
    expect(units().tokenOf(0)).toBe(other().token);
    expect(units().copies.size).toBe(0);
    expect(driver.report([own()])).toEqual([{ kind: 'stale' }]);
    expect(driver.report([other()])).toEqual([{ kind: 'accepted' }]);
    expect(driver.facts.findLast(({ type }) => type === 'ResultsAccepted')).toMatchObject({
      tokens: [other().token],
      attempts: [other().attempt],
    });
  });

  test('by its expiry is not a loss of the unit, and what comes back late is stale', () => {
    for (let passed = 0; passed < LEASE_TTL_MS; passed += 5_000) {
      driver.nowMs += 5_000;
      driver.beatHolding(other().agentId);
    }
    driver.pass(0);
    expect(lastEnd()).toMatchObject({ token: own().token, kind: 'lost', lost: false });
    expect(units().lossCountOf(0)).toBe(0);
    expect(driver.farm.lapsed.size).toBe(0);
    expect(driver.beat(own().agentId).stops).toEqual([
      { agentId: own().agentId, tokens: [own().token] },
    ]);
    expect(driver.farm.leases.size).toBe(1);
    expect(driver.report([own()])).toEqual([{ kind: 'stale' }]);
  });

  test('because the input cannot be read ends the unit, and the other', () => {
    driver.report([own()], failed('invalid-input'));
    expect(driver.job(1).end).toMatchObject({ state: 'failed' });
    expect(driver.farm.leases.size).toBe(0);
    expect(driver.stops).toEqual([{ agentId: other().agentId, tokens: [other().token] }]);
    expect(driver.report([own()], failed('invalid-input'))).toEqual([{ kind: 'noted' }]);
    expect(driver.report([other()])).toEqual([{ kind: 'stale' }]);
  });

  test('and then that of the other decides as ever', () => {
    driver.report([own()], failed('failed'));
    driver.report([other()], failed('failed'));
    expect(lastEnd()).toMatchObject({ next: { kind: 'queued' }, counts: true });
    expect(units().counts).toMatchObject({ queued: 1, leased: 0 });
    expect(units().failureCountOf(0)).toBe(1);
  });

  test('and then the expiry of the other: it comes back with its attempt', () => {
    driver.report([own()], failed('evicted'));
    driver.pass(LEASE_TTL_MS);
    expect([...driver.farm.lapsed.keys()]).toEqual([other().token]);
    driver.beat(other().agentId);
    expect(leaseOn(other().agentId)).toMatchObject({
      token: other().token,
      attempt: other().attempt,
    });
    expect(driver.report([other()])).toEqual([{ kind: 'accepted' }]);
    expect(driver.facts.findLast(({ type }) => type === 'ResultsAccepted')).toMatchObject({
      attempts: [other().attempt],
    });
  });

  test('because its agent was started again', () => {
    driver.beat(own().agentId, { session: `${own().agentId}-again`, inventory: [] });
    expect(lastEnd()).toMatchObject({ token: own().token, next: { kind: 'nothing' } });
    expect(units().tokenOf(0)).toBe(other().token);
  });
});

test('both expire in one moment: one after the other, and the unit is queued', () => {
  driver.pass(LEASE_TTL_MS);
  expect(driver.farm.leases.size).toBe(1);
  driver.pass(250);
  expect(driver.farm.leases.size).toBe(0);
  expect(units().counts.queued).toBe(1);
  expect(units().lossCountOf(0)).toBe(1);
});

test('one agent that reports for both is answered for one', () => {
  const results = [first, copy].map(({ token, unit }) => ({
    token,
    job: 1,
    step: 'work',
    unit,
    outcome: succeededWith('out'),
    runMs: 1,
    peak: NO_PEAK,
    missingBlobs: [],
  }));
  const { session } = first;
  expect(driver.ask({ type: 'ReportResults', agentId: 'a1', session, results })).toEqual({
    kind: 'verdicts',
    verdicts: [{ kind: 'accepted' }, { kind: 'none' }],
  });
  expect(driver.facts.filter(({ type }) => type === 'ResultsAccepted')).toHaveLength(1);
});

test('a copy that was refused, or asked back, leaves the first as it was', () => {
  driver.beat('a2', { inventory: [held(copy.token, 'waiting')] });
  const watched = driver.liveness.leases.get(copy.token);
  if (watched === undefined) throw new Error('not watched');
  watched.running = false;
  driver.beat('a2', { inventory: [] });
  expect(lastEnd()).toMatchObject({ kind: 'retracted', next: { kind: 'nothing' } });
  expect(units().attemptsOf(0)).toBe(1);
  expect(units().tokenOf(0)).toBe(first.token);
  driver.record(driver.copyOf(first, 'a2'));
  const { session, grantNumber } = leaseOn('a2');
  const answer = { state: 'no-responders' } as const;
  driver.ask({ type: 'GrantAnswered', agentId: 'a2', session, grantNumber, answer });
  expect(lastEnd()).toMatchObject({ kind: 'refused', next: { kind: 'nothing' } });
  expect(driver.report([first])).toEqual([{ kind: 'accepted' }]);
});

test('the first one that is handed back unbegun leaves the number of its copy used', () => {
  driver.restart();
  driver.beat('a1', { inventory: [held(first.token, 'waiting')] });
  driver.beatHolding('a2');
  driver.beat('a1', { inventory: [] });
  expect(lastEnd()).toMatchObject({ token: first.token, kind: 'retracted' });
  expect(units().tokenOf(0)).toBe(copy.token);
  expect(units().attemptsOf(0)).toBe(2);
});

test('both count for the limit of their job', () => {
  driver.submit([step('capped')], { maxUnits: 2 });
  driver.place();
  expect(unitsLeftOfJob(driver.job(2))).toBe(1);
  const [lease] = leasesOfJob(driver.farm, 2);
  if (lease === undefined) throw new Error('not placed');
  driver.record(driver.copyOf(lease, lease.agentId === 'a1' ? 'a2' : 'a1'));
  expect(unitsLeftOfJob(driver.job(2))).toBe(0);
});

test('a cancel ends both and stops both; a retry gives the unit to one', () => {
  expect(leasesOfJob(driver.farm, 1).map(({ token }) => token)).toEqual([first.token, copy.token]);
  const decision = driver.decide({ type: 'CancelJob', job: 1, reason: '' });
  expect(decision.stops).toEqual([
    { agentId: 'a1', tokens: [first.token] },
    { agentId: 'a2', tokens: [copy.token] },
  ]);
  expect(driver.farm.leases.size).toBe(0);
  for (const lease of [first, copy]) expect(driver.report([lease])).toEqual([{ kind: 'stale' }]);
});

test('the failure of another unit ends the job, its copies, and a retry begins anew', () => {
  driver.submit([step('bad'), step('slow')]);
  driver.place();
  const [bad, slow] = leasesOfJob(driver.farm, 2);
  if (bad === undefined || slow === undefined) throw new Error('not placed');
  driver.record(driver.copyOf(slow, slow.agentId === 'a1' ? 'a2' : 'a1'));
  expect(leasesOfJob(driver.farm, 2)).toHaveLength(3);
  driver.report([bad], failed('invalid-input'));
  expect(leasesOfJob(driver.farm, 2)).toEqual([]);
  expect(driver.farm.leases.size).toBe(2);
  driver.ask({ type: 'RetryJob', job: 2, reason: '' });
  driver.place();
  expect(leasesOfJob(driver.farm, 2)).toHaveLength(2);
});

test('a pause asks back a copy that has not begun, and lets both go on that have', () => {
  driver.restart();
  driver.beatHolding('a1');
  expect(driver.decide({ type: 'PauseJob', job: 1, reason: '' }).retracts).toEqual([
    { agentId: 'a2', tokens: [copy.token] },
  ]);
});

test('a restart keeps both; a store that lacks commits revokes both', () => {
  driver.restart();
  for (const agentId of ['a1', 'a2']) expect(driver.beatHolding(agentId).stops).toEqual([]);
  expect(driver.farm.leases.size).toBe(2);
  driver.restart(true);
  expect(driver.farm.leases.size).toBe(0);
  expect(units().copies.size).toBe(0);
  expect(units().counts.queued).toBe(1);
  for (const lease of [first, copy]) expect(driver.report([lease])).toEqual([{ kind: 'stale' }]);
});

test('a snapshot keeps both', () => {
  const bytes = encodeSnapshot({ farm: captureFarm(driver.farm), tail: EMPTY_TAIL });
  const restored = restoreFarm(decodeSnapshot(bytes).farm);
  expect(farmImage(restored)).toBe(farmImage(driver.farm));
  expect(checkFarm(restored)).toEqual([]);
  expect([...(restored.jobs.get(1)?.steps[0]?.units?.copies.keys() ?? [])]).toEqual([0]);
});

test('whoever looks at the units sees it leased once, on the agent that runs on', () => {
  const seen = () => viewOfUnits(driver.farm, driver.job(1), () => true, 0, 1).units;
  expect(seen()).toMatchObject([{ state: 'leased', attempts: 2, agentId: 'a1' }]);
  driver.report([first], failed('failed'));
  expect(seen()).toMatchObject([{ state: 'leased', attempts: 2, agentId: 'a2' }]);
});
