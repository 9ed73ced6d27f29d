/** The order in which things happen between keeper, outbox, disk and processes. */
import { expect, test, vi } from 'vitest';
import { AgentCore, type UnitExecutor } from '../../../agent/agent-core.ts';
import type { Assignment } from '../../../agent/assignment.ts';
import type { OutboxStorage } from '../../../agent/outbox.ts';
import type { Clock } from '../../../kit/clock.ts';
import { LeaseState, type AdvertiseResponse } from '../../../proto/gen/furrow/v1/agent_service.ts';
import { Verdict, type Result, type ResultReply } from '../../../proto/gen/furrow/work/v1/work.ts';
import { resultOf, stepShare } from '../../support/work.ts';

/** Everything outside the core, in the test's hands. */
class World implements UnitExecutor, OutboxStorage {
  readonly events: string[] = [];
  readonly disk = new Map<number, Result>();
  readonly executions = new Map<number, { end: (result: Result) => void; signal: AbortSignal }>();
  saving: Promise<void> = Promise.resolve();
  diskFull = false;
  nowMs = 0;
  offers: { results: readonly Result[]; answer: (reply: ResultReply | null) => void }[] = [];
  timers: { atMs: number; callback: () => void }[] = [];
  readonly core: AgentCore;

  constructor() {
    this.core = new AgentCore({
      farmId: 'farm',
      leaseTtlMs: 15_000,
      clock: this.#clock(),
      random: () => 0.5,
      fits: () => null,
      executor: this,
      storage: this,
      channel: {
        offer: (results) =>
          new Promise((answer) => {
            this.events.push(`offer ${results.map(({ token }) => token?.counter).join()}`);
            this.offers.push({ results, answer });
          }),
      },
      changed: () => undefined,
      complain: (message) => this.events.push(message),
    });
  }

  #clock(): Clock {
    return {
      monotonicMs: () => this.nowMs,
      wallMs: () => this.nowMs,
      after: (delayMs, callback) => {
        const timer = { atMs: this.nowMs + delayMs, callback };
        this.timers.push(timer);
        return () => {
          this.timers = this.timers.filter((other) => other !== timer);
        };
      },
    };
  }

  /** Time goes on; timers that are due fire. */
  pass(ms: number): void {
    this.nowMs += ms;
    const due = this.timers.filter(({ atMs }) => atMs <= this.nowMs);
    this.timers = this.timers.filter((timer) => !due.includes(timer));
    for (const { callback } of due) callback();
  }

  execute(assignment: Assignment, signal: AbortSignal): Promise<Result> {
    const { counter } = assignment.token;
    this.events.push(`run ${counter}`);
    return new Promise((end) => this.executions.set(counter, { end, signal }));
  }

  storeAgain(result: Result): Promise<Result> {
    this.events.push(`store again ${result.token?.counter}`);
    return Promise.resolve(result);
  }

  async discard({ counter }: { counter: number }): Promise<void> {
    this.events.push(`discard ${counter}`);
  }

  async load(): Promise<readonly Result[]> {
    return [...this.disk.values()];
  }

  async save(result: Result): Promise<void> {
    await this.saving;
    if (this.diskFull) throw new Error('no space');
    this.events.push(`save ${result.token?.counter}`);
    this.disk.set(result.token?.counter ?? 0, result);
  }

  async remove({ counter }: { counter: number }): Promise<void> {
    this.disk.delete(counter);
  }

  renew(changes: Partial<AdvertiseResponse> = {}): void {
    const { beat } = this.core.nextBeat();
    this.core.beatAnswered({
      farmId: 'farm',
      epoch: 1,
      beat,
      stop: [],
      releasedGrant: 0,
      drain: false,
      leaseTtlMs: 0,
      ...changes,
    });
  }

  grant(number: number, ...counters: number[]): void {
    this.core.handleGrant({ farmId: 'farm', epoch: 1, number, steps: [stepShare({ counters })] });
  }

  answer(verdict: Verdict | null, epoch = 1): void {
    const { results, answer } = this.offers.shift()!;
    if (verdict === null) return answer(null);
    const verdicts = results.map(({ token }) => ({ token, verdict, missing: [] }));
    answer({ farmId: 'farm', epoch, verdicts });
  }

  states(): readonly (readonly [number | undefined, LeaseState])[] {
    return this.core.nextBeat().inventory.map(({ token, state }) => [token?.counter, state]);
  }
}

const until = (check: () => void): Promise<void> => vi.waitFor(check, { interval: 1 });

/** A world in which unit 1 runs. */
function running(): World {
  const world = new World();
  world.core.setWorkPlaneUp(true);
  world.renew();
  world.grant(1, 1);
  return world;
}

test('a result is on disk before it is offered, and its files go after the verdict', async () => {
  const world = running();
  world.executions.get(1)?.end(resultOf(1));
  await until(() => expect(world.offers).toHaveLength(1));
  expect(world.states()).toEqual([[1, LeaseState.LEASE_STATE_FINISHED]]);
  world.answer(Verdict.VERDICT_ACCEPTED);
  await until(() => expect(world.events).toContain('discard 1'));
  expect(world.events).toEqual(['run 1', 'save 1', 'offer 1', 'discard 1']);
  expect(world.states()).toEqual([]);
  expect(world.disk.size).toBe(0);
});

test('a unit that is stopped tells nothing and is listed until its processes are gone', async () => {
  const world = running();
  world.renew({ stop: [{ epoch: 1, counter: 1 }] });
  expect(world.executions.get(1)?.signal.aborted).toBe(true);
  expect(world.states()).toEqual([[1, LeaseState.LEASE_STATE_ENDING]]);
  world.executions.get(1)?.end(resultOf(1));
  await until(() => expect(world.states()).toEqual([]));
  expect(world.events).toEqual(['run 1', 'discard 1']);
});

test('an order to stop that comes while the result is being written wins', async () => {
  const world = running();
  let saved: () => void = () => undefined;
  world.saving = new Promise((settle) => {
    saved = settle;
  });
  world.executions.get(1)?.end(resultOf(1));
  await Promise.resolve();
  world.renew({ stop: [{ epoch: 1, counter: 1 }] });
  saved();
  await until(() => expect(world.states()).toEqual([]));
  expect(world.offers).toEqual([]);
  expect(world.disk.size).toBe(0);
});

test('a result that cannot be written is told from memory', async () => {
  const world = running();
  world.diskFull = true;
  world.executions.get(1)?.end(resultOf(1));
  await until(() => expect(world.offers).toHaveLength(1));
  expect(world.events).toContainEqual(expect.stringContaining('no space'));
  expect(world.states()).toEqual([[1, LeaseState.LEASE_STATE_FINISHED]]);
});

test('nothing is offered while NATS is away, and all at once when it is back', async () => {
  const world = running();
  world.core.setWorkPlaneUp(false);
  world.grant(2, 2);
  world.executions.get(1)?.end(resultOf(1));
  world.executions.get(2)?.end(resultOf(2));
  await until(() => expect(world.disk.size).toBe(2));
  expect(world.offers).toEqual([]);
  world.core.setWorkPlaneUp(true);
  expect(world.offers.map(({ results }) => results.length)).toEqual([2]);
});

test('an offer without an answer, or with one of a reign that is over, is made again', async () => {
  const world = running();
  world.executions.get(1)?.end(resultOf(1));
  await until(() => expect(world.offers).toHaveLength(1));
  world.answer(null);
  await until(() => expect(world.timers).toHaveLength(1));
  world.pass(250);
  expect(world.offers).toHaveLength(1);
  world.renew({ epoch: 2 });
  world.answer(Verdict.VERDICT_STALE, 1);
  await until(() => expect(world.timers).toHaveLength(1));
  expect(world.states()).toEqual([[1, LeaseState.LEASE_STATE_FINISHED]]);
  world.pass(500);
  world.answer(Verdict.VERDICT_ACCEPTED, 2);
  await until(() => expect(world.states()).toEqual([]));
});

test('missing blobs are stored again before the result is offered again', async () => {
  const world = running();
  world.executions.get(1)?.end(resultOf(1));
  await until(() => expect(world.offers).toHaveLength(1));
  world.answer(Verdict.VERDICT_BLOB_MISSING);
  await until(() => expect(world.timers).toHaveLength(1));
  world.pass(5_000);
  expect(world.events).toEqual(['run 1', 'save 1', 'offer 1', 'store again 1', 'offer 1']);
});

test('what an earlier session left is in the first beat, and offered', async () => {
  const world = new World();
  world.disk.set(7, resultOf(7));
  expect(await world.core.restore()).toEqual([resultOf(7).token]);
  expect(world.states()).toEqual([[7, LeaseState.LEASE_STATE_FINISHED]]);
  world.core.setWorkPlaneUp(true);
  expect(world.events).toEqual(['offer 7']);
});

test('leaving hands back what waits and lets finish what runs', async () => {
  const world = new World();
  world.core.setWorkPlaneUp(true);
  world.renew();
  world.grant(1, 1);
  world.pass(20_000);
  world.grant(2, 2);
  world.core.leave();
  await until(() => expect(world.disk.get(2)).toBeDefined());
  expect(world.disk.get(2)?.outcome).toMatchObject({ value: { kind: 'evicted' } });
  expect(world.executions.get(1)?.signal.aborted).toBe(false);
  expect(world.core.quiet).toBe(false);
  world.executions.get(1)?.end(resultOf(1));
  await until(() => expect(world.core.quiet).toBe(true));
  expect(world.core.empty).toBe(false);
});

test('evicted units end, and their results are told', async () => {
  const world = running();
  world.core.leave();
  world.core.evict('the owner is back');
  expect(world.executions.get(1)?.signal.reason).toMatchObject({ reason: 'EVICTED' });
  expect(world.states()).toEqual([[1, LeaseState.LEASE_STATE_ENDING]]);
  world.executions.get(1)?.end(resultOf(1));
  await until(() => expect(world.offers).toHaveLength(1));
});
