import { expect, test } from 'vitest';
import { LeaseKeeper, type Fits, type Instant } from '../../../agent/lease-keeper.ts';
import { LeaseState, type AdvertiseResponse } from '../../../proto/gen/furrow/v1/agent_service.ts';
import type { Grant } from '../../../proto/gen/furrow/work/v1/work.ts';
import { stepShare } from '../../support/work.ts';

const TTL_MS = 15_000;
const token = (counter: number): { epoch: number; counter: number } => ({ epoch: 1, counter });
const at = (ms: number): Instant => ({ monotonicMs: ms, wallMs: 1_000_000 + ms });

function keeper(fits: Fits = () => null): LeaseKeeper {
  return new LeaseKeeper({ farmId: 'farm', leaseTtlMs: TTL_MS, fits });
}

function grant(number: number, ...counters: number[]): Grant {
  return { farmId: 'farm', epoch: 1, number, steps: [stepShare({ counters })] };
}

function answer(beat: number, changes: Partial<AdvertiseResponse> = {}): AdvertiseResponse {
  return {
    farmId: 'farm',
    epoch: 1,
    beat,
    stop: [],
    releasedGrant: 0,
    retract: [],
    drain: false,
    leaseTtlMs: 0,
    ...changes,
  };
}

/** One with an answered beat, so that it may start what it is given. */
function renewedKeeper(fits?: Fits): LeaseKeeper {
  const renewed = keeper(fits);
  renewed.beatAnswered(answer(renewed.nextBeat(at(0)).beat));
  return renewed;
}

const states = (of: LeaseKeeper): readonly (readonly [number | undefined, LeaseState])[] =>
  of.nextBeat(at(0)).inventory.map((entry) => [entry.token?.counter, entry.state]);

test('a lower epoch than an earlier run was told is not obeyed, and a higher one is told of once', () => {
  const rises: number[] = [];
  const fits: Fits = () => null;
  const epochRose = (epoch: number): void => void rises.push(epoch);
  const held = new LeaseKeeper({
    farmId: 'farm',
    leaseTtlMs: TTL_MS,
    epochSeen: 2,
    epochRose,
    fits,
  });
  expect(held.handleGrant(grant(1, 1))).toBeNull();
  expect(held.beatAnswered(answer(1)).state).toBe('ignored');
  expect(held.beatAnswered(answer(1, { epoch: 2 })).state).toBe('taken');
  expect(held.beatAnswered(answer(2, { epoch: 5 })).state).toBe('taken');
  expect(held.handleGrant({ ...grant(1, 1), epoch: 5 })).not.toBeNull();
  expect(rises).toEqual([5]);
});

test('a grant is listed from the next beat on, with its number', () => {
  const held = keeper();
  expect(held.handleGrant(grant(1, 1, 2))).toEqual({ refused: [], refusedAll: '' });
  const beat = held.nextBeat(at(0));
  expect(beat.grantsHandled).toBe(1);
  expect(beat.inventory.map(({ state }) => state)).toEqual([
    LeaseState.LEASE_STATE_WAITING,
    LeaseState.LEASE_STATE_WAITING,
  ]);
});

test('a repeated grant gets the same answer and brings nothing back', () => {
  const held = renewedKeeper((demand) => (demand.ramBytes > 5 ? 'too large' : null));
  const small = stepShare({ counters: [1] });
  const large = stepShare({ counters: [2], demand: { ...small.demand!, ramBytes: 10 } });
  const both: Grant = { ...grant(1), steps: [small, large] };
  const reply = held.handleGrant(both);
  expect(reply?.refused).toEqual([{ token: token(2), reason: 'too large' }]);
  held.startNext(at(1));
  held.finished(token(1));
  held.gone(token(1));
  expect(held.handleGrant(both)).toEqual(reply);
  expect(states(held)).toEqual([]);
});

test('a grant that another has overtaken is refused', () => {
  const held = keeper();
  held.handleGrant(grant(2, 1));
  expect(held.handleGrant(grant(1, 9))?.refusedAll).toMatch(/overtaken/);
  expect(states(held)).toEqual([[1, LeaseState.LEASE_STATE_WAITING]]);
});

test('a released grant is refused and counts as handled; one handled before stands', () => {
  const held = keeper();
  const first = held.handleGrant(grant(1, 1));
  held.beatAnswered(answer(held.nextBeat(at(0)).beat, { releasedGrant: 3 }));
  expect(held.nextBeat(at(0)).grantsHandled).toBe(3);
  expect(held.handleGrant(grant(3, 3))?.refusedAll).toMatch(/released/);
  expect(held.handleGrant(grant(1, 1))).toEqual(first);
  expect(held.handleGrant(grant(4, 4))?.refusedAll).toBe('');
});

test('lower epochs and other farms are not obeyed', () => {
  const held = renewedKeeper();
  held.handleGrant({ ...grant(1, 1), epoch: 2 });
  expect(held.handleGrant(grant(2, 2))).toBeNull();
  expect(held.handleGrant({ ...grant(2, 2), epoch: 2, farmId: 'other' })).toBeNull();
  const { beat } = held.nextBeat(at(0));
  const stop = [token(1)];
  expect(held.beatAnswered(answer(beat, { stop }))).toMatchObject({ state: 'ignored' });
  expect(held.beatAnswered(answer(beat, { epoch: 2, farmId: 'other', stop }))).toMatchObject({
    state: 'ignored',
  });
  expect(states(held)).toHaveLength(1);
});

test('nothing starts before a beat was answered, nor a TTL after it was sent', () => {
  const held = keeper();
  held.handleGrant(grant(1, 1));
  expect(held.startNext(at(0))).toBeNull();
  const { beat } = held.nextBeat(at(1_000));
  // The answer came late: what counts is when the beat left.
  held.beatAnswered(answer(beat));
  expect(held.startNext(at(1_000 + TTL_MS))).toBeNull();
  expect(held.startNext(at(999 + TTL_MS))?.token).toEqual(token(1));
});

test('time that the machine slept counts, and a wall clock set back hides none', () => {
  const slept = renewedKeeper();
  slept.handleGrant(grant(1, 1));
  expect(slept.startNext({ monotonicMs: 10, wallMs: 1_000_000 + TTL_MS })).toBeNull();
  expect(slept.startNext({ monotonicMs: TTL_MS, wallMs: 0 })).toBeNull();
  expect(slept.startNext({ monotonicMs: 10, wallMs: 1_000_010 })).not.toBeNull();
});

test('an answer to an older beat does not take back what a newer one renewed', () => {
  const held = keeper();
  held.handleGrant(grant(1, 1));
  const older = held.nextBeat(at(0)).beat;
  const newer = held.nextBeat(at(10_000)).beat;
  held.beatAnswered(answer(newer));
  held.beatAnswered(answer(older));
  expect(held.startNext(at(TTL_MS + 1))).not.toBeNull();
});

test('what does not fit beside the others waits, and lets smaller ones pass', () => {
  const held = renewedKeeper((demand, beside) =>
    beside.reduce((sum, other) => sum + other.ramBytes, demand.ramBytes) <= 10 ? null : 'full',
  );
  const of = (counter: number, ramBytes: number) => {
    const share = stepShare({ counters: [counter] });
    return { ...share, demand: { ...share.demand!, ramBytes } };
  };
  held.handleGrant({ ...grant(1), steps: [of(1, 6), of(2, 6), of(3, 4)] });
  expect(held.startNext(at(1))?.token).toEqual(token(1));
  expect(held.startNext(at(1))?.token).toEqual(token(3));
  expect(held.startNext(at(1))).toBeNull();
  held.finished(token(1));
  expect(held.startNext(at(1))?.token).toEqual(token(2));
});

test('stop: waiting goes at once, running stays listed until it is gone', () => {
  const held = renewedKeeper();
  held.handleGrant(grant(1, 1, 2));
  held.startNext(at(1));
  const { beat } = held.nextBeat(at(1));
  const taken = held.beatAnswered(answer(beat, { stop: [token(1), token(2), token(9)] }));
  expect(taken).toEqual({
    state: 'taken',
    orders: [
      { order: 'end', token: token(1) },
      { order: 'discard', token: token(2) },
    ],
  });
  expect(states(held)).toEqual([[1, LeaseState.LEASE_STATE_ENDING]]);
  expect(held.isWanted(token(1))).toBe(false);
  // Told again while it is being ended: nothing more to do.
  expect(held.beatAnswered(answer(beat, { stop: [token(1)] }))).toMatchObject({ orders: [] });
  held.gone(token(1));
  expect(states(held)).toEqual([]);
});

test('a finished result is listed until its verdict, and can be stopped', () => {
  const held = renewedKeeper();
  held.handleGrant(grant(1, 1));
  held.startNext(at(1));
  held.finished(token(1));
  expect(states(held)).toEqual([[1, LeaseState.LEASE_STATE_FINISHED]]);
  const { beat } = held.nextBeat(at(1));
  expect(held.beatAnswered(answer(beat, { stop: [token(1)] }))).toMatchObject({
    orders: [{ order: 'discard' }],
  });
  expect(states(held)).toEqual([]);
});

test('progress is told, and only grows', () => {
  const held = renewedKeeper();
  held.handleGrant(grant(1, 1));
  held.startNext(at(1));
  held.progressed(token(1), 7);
  held.progressed(token(1), 5);
  expect(held.nextBeat(at(1)).inventory).toMatchObject([{ progress: 7 }]);
});

test('draining: nothing starts, every grant is refused, what waits is to be handed back', () => {
  const held = renewedKeeper();
  held.handleGrant(grant(1, 1));
  held.beatAnswered(answer(held.nextBeat(at(0)).beat, { drain: true }));
  expect(held.startNext(at(1))).toBeNull();
  expect(held.unstartable().map((assignment) => assignment.token)).toEqual([token(1)]);
  expect(held.handleGrant(grant(2, 2))?.refusedAll).toMatch(/drained/);
  held.beatAnswered(answer(held.nextBeat(at(0)).beat, { drain: false }));
  expect(held.handleGrant(grant(3, 3))?.refusedAll).toBe('');
});

test('an evicted unit is ending, and its result is still wanted', () => {
  const held = renewedKeeper();
  held.handleGrant(grant(1, 1));
  held.startNext(at(1));
  held.leave();
  held.evicting(token(1));
  expect(states(held)).toEqual([[1, LeaseState.LEASE_STATE_ENDING]]);
  expect(held.isWanted(token(1))).toBe(true);
  expect(held.nextBeat(at(1)).leaving).toBe(true);
});

test('results of an earlier session are in the first beat', () => {
  const held = keeper();
  held.restoreFinished([token(4)]);
  expect(states(held)).toEqual([[4, LeaseState.LEASE_STATE_FINISHED]]);
});

function slotted(number: number, slots: number, ...counters: number[]): Grant {
  return { farmId: 'farm', epoch: 1, number, steps: [stepShare({ counters, slots })] };
}

const startAll = (of: LeaseKeeper): number[] => {
  const started: number[] = [];
  for (let next = of.startNext(at(1)); next !== null; next = of.startNext(at(1))) {
    started.push(next.token.counter);
  }
  return started;
};

test('of leases that take turns no more run than were booked, in the order granted', () => {
  const held = renewedKeeper();
  held.handleGrant(slotted(1, 2, 1, 2, 3, 4, 5));
  expect(startAll(held)).toEqual([1, 2]);
  held.finished(token(2));
  expect(startAll(held)).toEqual([3]);
  // Ended, but not gone: its place is taken.
  held.beatAnswered(answer(0, { stop: [token(1)] }));
  expect(startAll(held)).toEqual([]);
  held.gone(token(1));
  expect(startAll(held)).toEqual([4]);
});

test('a later grant says how many may run from then on', () => {
  const held = renewedKeeper();
  held.handleGrant(slotted(1, 1, 1, 2));
  expect(startAll(held)).toEqual([1]);
  held.handleGrant(slotted(2, 2, 3));
  expect(startAll(held)).toEqual([2]);
  held.handleGrant(slotted(3, 1, 4));
  held.finished(token(1));
  expect(startAll(held)).toEqual([]);
  held.finished(token(2));
  expect(startAll(held)).toEqual([3]);
});

test('leases on other GPUs have turns of their own', () => {
  const held = renewedKeeper();
  const [share] = slotted(1, 1, 1, 2).steps;
  if (share === undefined) throw new Error('no share');
  const [first, second] = share.leases;
  const onGpu = (lease: typeof first, gpu: string): NonNullable<typeof first> => ({
    ...(lease as NonNullable<typeof first>),
    gpuIds: [gpu],
  });
  const leases = [onGpu(first, 'g1'), onGpu(second, 'g2')];
  held.handleGrant({ farmId: 'farm', epoch: 1, number: 1, steps: [{ ...share, leases }] });
  expect(startAll(held)).toEqual([1, 2]);
});

test('what is asked back is handed back unless it has begun', () => {
  const held = renewedKeeper();
  held.handleGrant(slotted(1, 1, 1, 2, 3));
  expect(startAll(held)).toEqual([1]);
  held.beatAnswered(answer(0, { retract: [token(1), token(3), token(9)] }));
  expect(states(held)).toEqual([
    [1, LeaseState.LEASE_STATE_RUNNING],
    [2, LeaseState.LEASE_STATE_WAITING],
  ]);
  held.finished(token(1));
  expect(startAll(held)).toEqual([2]);
});

test('what is given back before it began leaves the turns of the others alone', () => {
  const held = renewedKeeper();
  held.handleGrant(slotted(1, 1, 1, 2, 3));
  expect(startAll(held)).toEqual([1]);
  held.evicting(token(2));
  held.gone(token(2));
  held.handleGrant(slotted(2, 1, 4));
  held.finished(token(1));
  expect(startAll(held)).toEqual([3]);
  held.finished(token(3));
  expect(startAll(held)).toEqual([4]);
});
