/** Watchers: what they are told, in which order, and what a slow one costs. */
import { describe, expect, test } from 'vitest';
import { watchJob, type WatchSource } from '../../../coordinator/grpc/watch-job.ts';
import { emptyFarm } from '../../../coordinator/domain/farm.ts';
import type { Fact } from '../../../coordinator/domain/facts.ts';
import { tokenOf } from '../../../coordinator/domain/token.ts';
import { viewOfJob, type JobView } from '../../../coordinator/domain/views.ts';
import { ReadModel } from '../../../coordinator/read-model.ts';
import { WatchHub } from '../../../coordinator/watch-hub.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import type { WatchJobResponse } from '../../../proto/gen/furrow/v1/job_service.ts';
import { FarmDriver, step } from '../../support/farm-driver.ts';

/** A farm of one job, whose commits a test makes up; the journal is a list. */
class WatchBench {
  trouble: FurrowError | undefined;
  readonly hub = new WatchHub(() => this.trouble);
  readonly reads: [number, number][] = [];
  readonly #journal: { sequence: number; facts: readonly Fact[] }[] = [];
  readonly #driver = new FarmDriver();
  readonly #view: JobView;
  readonly #readModel: ReadModel;

  constructor() {
    this.#view = viewOfJob(this.#driver.submit([step('work')]));
    this.#readModel = new ReadModel(this.#driver.farm, 10);
  }

  get source(): WatchSource {
    const { hub, reads } = this;
    const journal = this.#journal;
    return {
      farm: emptyFarm(),
      reachEnd: async () => undefined,
      readModel: this.#readModel,
      known: { job: async (number) => this.#readModel.job(number) },
      outputRetentionMs: 0,
      hub,
      readHistory: async function* read(after, last) {
        reads.push([after, last]);
        yield* journal.filter(({ sequence }) => sequence > after && sequence <= last);
      },
    };
  }

  /** One more commit: an attempt of the job's unit begins. Job 2's commits are no concern of job 1. */
  commit(change: Partial<JobView> = {}, job = 1): void {
    const sequence = this.#readModel.sequence + 1;
    const fact: Fact = {
      type: 'LeasesGranted',
      agentId: 'a',
      session: 's',
      grantNumber: sequence,
      job,
      step: 0,
      firstToken: tokenOf(1, sequence),
      units: [0],
      attempts: [sequence],
      gpuIds: [],
      waiting: false,
      copy: false,
      atMs: 0,
    };
    const views = [{ ...this.#view, number: job, id: `j${job}`, ...change }];
    const commit = { number: sequence, sequence, atMs: 0, facts: [fact], views, agents: [] };
    this.#journal.push(commit);
    this.#readModel.publish(commit);
    this.hub.publish(commit);
  }

  /** Watches to the end; answers what came. `pause` holds up the reader before each message. */
  watch(
    cursor: string,
    pause: () => Promise<void> = () => Promise.resolve(),
    withoutAttempts = false,
  ) {
    const messages: WatchJobResponse[] = [];
    const send = async (message: WatchJobResponse): Promise<void> => {
      await pause();
      messages.push(message);
    };
    const { signal } = new AbortController();
    const ended = watchJob(this.source, { jobId: 'j1', cursor, withoutAttempts }, send, signal);
    return { messages, ended };
  }
}

const attemptsOf = (messages: readonly WatchJobResponse[]): number[] =>
  messages.flatMap(({ event }) =>
    event?.$case === 'attempts' ? event.value.events.map(({ attempt }) => attempt) : [],
  );

const upTo = (from: number, last: number): number[] =>
  Array.from({ length: last - from + 1 }, (_, index) => from + index);

const ENDED = { state: 'cancelled', endedAtMs: 5 } as const;

test('starts with the job as it is, then tells every commit that touches it, to its end', async () => {
  const bench = new WatchBench();
  const { messages, ended } = bench.watch('');
  bench.commit();
  bench.commit({}, 2);
  bench.commit(ENDED);
  await ended;
  expect(messages[0]).toMatchObject({ cursor: '10', event: { $case: 'job' } });
  expect(attemptsOf(messages)).toEqual([11, 13]);
  expect(messages.at(-1)).toMatchObject({ cursor: '13', event: { $case: 'job' } });
});

test('from any cursor that was given, what comes is exactly what had not been told', async () => {
  const bench = new WatchBench();
  const first = bench.watch('');
  for (let n = 0; n < 5; n += 1) bench.commit();
  bench.commit(ENDED);
  await first.ended;
  for (const [index, { cursor }] of first.messages.entries()) {
    const { messages, ended } = bench.watch(cursor);
    await ended;
    const told = attemptsOf(first.messages.slice(0, index + 1));
    const after = attemptsOf(messages);
    // A commit of which only the attempts were told is told again: at least once, never a gap.
    expect([...new Set([...told, ...after])]).toEqual(upTo(11, 16));
    expect(messages.at(-1)?.event?.$case).toBe('job');
  }
});

test('a cursor from a journal that went on further is refused', async () => {
  const { ended } = new WatchBench().watch('11');
  await expect(ended).rejects.toMatchObject({ code: 'invalid', reason: 'CURSOR_INVALID' });
});

test('one that reads too slowly costs little, and still misses nothing', async () => {
  const bench = new WatchBench();
  let goOn = (): void => {};
  const stuck = new Promise<void>((resolve) => (goOn = resolve));
  let isFirst = true;
  const { messages, ended } = bench.watch('', async () => {
    if (!isFirst) return;
    isFirst = false;
    await stuck;
  });
  for (let n = 0; n < 2_500; n += 1) {
    bench.commit();
    const progress = { unitId: 'j1/work/0', attempt: 1, agentId: 'a', fraction: n / 2_500 };
    bench.hub.progress(1, [{ ...progress, counter: n, note: '' }]);
  }
  goOn();
  // Progress is told when no change is left to tell: the watcher has caught up.
  await expect.poll(() => messages.at(-1)?.event?.$case).toBe('progress');
  bench.commit(ENDED);
  await ended;
  expect(attemptsOf(messages)).toEqual(upTo(11, 10 + 2_501));
  // The journal gave what memory did not keep, in one go.
  expect(bench.reads).toEqual([[10, 2_510]]);
  const progress = messages.filter(({ event }) => event?.$case === 'progress');
  expect(progress).toMatchObject([
    { cursor: '', event: { value: { units: [{ counter: 2_499 }] } } },
  ]);
});

test('who wants no attempts is told the job alone', async () => {
  const bench = new WatchBench();
  const { messages, ended } = bench.watch('', undefined, true);
  for (let n = 0; n < 3; n += 1) bench.commit();
  bench.commit(ENDED);
  await ended;
  expect(new Set(messages.map(({ event }) => event?.$case))).toEqual(new Set(['job']));
  expect(messages.at(-1)).toMatchObject({ cursor: '14' });
});

describe('while nothing new can be told', () => {
  const trouble = new FurrowError('unavailable', 'JOURNAL_UNREACHABLE', 'NATS does not answer');

  test('an open watch ends with the reason, after all that was known before', async () => {
    const bench = new WatchBench();
    const { messages, ended } = bench.watch('');
    bench.commit();
    bench.trouble = trouble;
    await expect(ended).rejects.toBe(trouble);
    expect(attemptsOf(messages)).toEqual([11]);
    expect(messages.at(-1)).toMatchObject({ cursor: '11', event: { $case: 'job' } });
  });

  test('a new one is told the job as it was, one that goes on nothing: there is nothing new', async () => {
    const bench = new WatchBench();
    bench.commit();
    bench.trouble = trouble;
    const first = bench.watch('');
    await expect(first.ended).rejects.toBe(trouble);
    expect(first.messages).toMatchObject([{ cursor: '11', event: { $case: 'job' } }]);
    const again = bench.watch('11');
    await expect(again.ended).rejects.toBe(trouble);
    expect(again.messages).toEqual([]);
    bench.trouble = undefined;
    const { messages, ended } = bench.watch('11');
    bench.commit(ENDED);
    await ended;
    expect(attemptsOf(messages)).toEqual([12]);
  });
});
