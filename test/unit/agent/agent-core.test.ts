/** The order in which things happen between keeper, outbox, disk and processes. */
import { expect, test, vi } from 'vitest';
import { AgentCore, type UnitExecutor } from '../../../agent/agent-core.ts';
import type { Assignment } from '../../../agent/assignment.ts';
import type { Cancellation } from '../../../agent/cancellation.ts';
import type { OutboxStorage } from '../../../agent/outbox.ts';
import type { Clock } from '../../../kit/clock.ts';
import { LeaseState, type AdvertiseResponse } from '../../../proto/gen/furrow/v1/agent_service.ts';
import { Demand } from '../../../proto/gen/furrow/v1/step.ts';
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
  readonly concluded: (number | undefined)[] = [];
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
      concluded: ({ token }) => this.concluded.push(token?.counter),
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

  execute(assignment: Assignment, { signal }: Cancellation): Promise<Result> {
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
      retract: [],
      drain: false,
      leaseTtlMs: 0,
      ...changes,
    });
  }

  grant(number: number, ...counters: number[]): void {
    this.core.handleGrant({ farmId: 'farm', epoch: 1, number, steps: [stepShare({ counters })] });
  }

  /** A lease on this GPU, one at a time. */
  grantOnGpu(number: number, gpuId: string, ...counters: number[]): void {
    const demand = Demand.fromPartial({ gpus: 1, vramBytes: 100, encoderSessions: 1 });
    const share = stepShare({ counters, demand, slots: 1 });
    const leases = share.leases.map((lease) => ({ ...lease, gpuIds: [gpuId] }));
    this.core.handleGrant({ farmId: 'farm', epoch: 1, number, steps: [{ ...share, leases }] });
  }

  answer(verdict: Verdict | null, epoch = 1): void {
    const { results, answer } = this.offers.shift()!;
    if (verdict === null) return answer(null);
    const verdicts = results.map(({ token }) => ({ token, verdict, missing: [] }));
    answer({ farmId: 'farm', epoch, verdicts, successVerdicts: [] });
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

test('a result that is answered at once is never written, and its files go after the verdict', async () => {
  const world = running();
  world.executions.get(1)?.end(resultOf(1));
  await until(() => expect(world.offers).toHaveLength(1));
  expect(world.states()).toEqual([[1, LeaseState.LEASE_STATE_FINISHED]]);
  world.answer(Verdict.VERDICT_ACCEPTED);
  await until(() => expect(world.events).toContain('discard 1'));
  world.pass(1_000);
  expect(world.events).toEqual(['run 1', 'offer 1', 'discard 1']);
  expect(world.states()).toEqual([]);
});

test('a result without an answer is soon on disk, and gone from there after the verdict', async () => {
  const world = running();
  world.executions.get(1)?.end(resultOf(1));
  await until(() => expect(world.offers).toHaveLength(1));
  world.pass(100);
  await until(() => expect(world.disk.size).toBe(1));
  world.answer(Verdict.VERDICT_ACCEPTED);
  await until(() => expect(world.events).toContain('discard 1'));
  expect(world.events).toEqual(['run 1', 'offer 1', 'save 1', 'discard 1']);
  expect(world.disk.size).toBe(0);
});

test('a result that has no answer when the agent stops is on disk', async () => {
  const world = running();
  world.executions.get(1)?.end(resultOf(1));
  await until(() => expect(world.offers).toHaveLength(1));
  world.core.stop();
  await until(() => expect(world.disk.size).toBe(1));
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
  await until(() => expect(world.offers).toHaveLength(1));
  world.pass(100);
  world.renew({ stop: [{ epoch: 1, counter: 1 }] });
  saved();
  await until(() => expect(world.events).toContain('discard 1'));
  expect(world.states()).toEqual([]);
  expect(world.disk.size).toBe(0);
});

test('a result that cannot be written is told from memory', async () => {
  const world = running();
  world.diskFull = true;
  world.executions.get(1)?.end(resultOf(1));
  await until(() => expect(world.offers).toHaveLength(1));
  world.pass(100);
  await until(() => expect(world.events).toContainEqual(expect.stringContaining('no space')));
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
  await until(() => expect(world.timers).toHaveLength(2));
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
  await until(() => expect(world.timers).toHaveLength(2));
  world.pass(5_000);
  await until(() => expect(world.disk.size).toBe(1));
  expect(world.events.filter((event) => event !== 'save 1')).toEqual([
    'run 1',
    'offer 1',
    'store again 1',
    'offer 1',
  ]);
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
  world.pass(100);
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

test('closed: what waits goes back with the next answered beat, nothing begins, what runs goes on', async () => {
  const world = running();
  world.pass(20_000);
  world.grant(2, 2);
  world.core.close('it is paused until 13:30');
  expect(world.states()[1]).toEqual([2, LeaseState.LEASE_STATE_WAITING]);
  const refused = world.core.handleGrant({
    farmId: 'farm',
    epoch: 1,
    number: 3,
    steps: [stepShare({ counters: [3] })],
  });
  expect(refused?.refusedAll).toBe('it is paused until 13:30');
  world.renew();
  await until(() => expect(world.offers).toHaveLength(1));
  expect(world.offers[0]?.results[0]).toMatchObject({
    token: { counter: 2 },
    outcome: { value: { kind: 'evicted' } },
  });
  expect(world.executions.get(1)?.signal.aborted).toBe(false);
  expect(world.events).not.toContain('run 2');

  world.core.open();
  world.grant(4, 4);
  expect(world.events).toContain('run 4');
});

test('what runs on a GPU that fails is ended, what waits for it is handed back, the rest goes on', async () => {
  const world = running();
  world.grantOnGpu(2, 'gpu-a', 2, 3);
  world.grantOnGpu(3, 'gpu-b', 4);
  expect(world.events).toEqual(['run 1', 'run 2', 'run 4']);
  expect(world.core.bookedVramBytes()).toEqual(
    new Map([
      ['gpu-a', 100],
      ['gpu-b', 100],
    ]),
  );
  expect(world.core.bookedEncoderSessions()).toBe(2);

  world.core.giveUpGpus(new Map([['gpu-a', 'RTX cannot be used: GPU is lost']]));
  expect(world.executions.get(2)?.signal.reason).toMatchObject({
    reason: 'GPU_UNUSABLE',
    message: 'RTX cannot be used: GPU is lost',
  });
  for (const counter of [1, 4]) expect(world.executions.get(counter)?.signal.aborted).toBe(false);
  await until(() => expect(world.offers).toHaveLength(1));
  expect(world.offers[0]?.results[0]).toMatchObject({
    token: { counter: 3 },
    outcome: { value: { kind: 'evicted', message: expect.stringContaining('GPU is lost') } },
  });
  // Its place is taken until its processes are gone.
  expect(world.core.bookedVramBytes().get('gpu-a')).toBe(100);
  world.executions.get(2)?.end(resultOf(2));
  await until(() => expect(world.core.bookedVramBytes().has('gpu-a')).toBe(false));
  expect(world.concluded).toEqual([2]);
});
