import { describe, expect, test } from 'vitest';
import { EMPTY_TAIL } from '../../../../coordinator/journal/chain.ts';
import { Follower } from '../../../../coordinator/journal/follower.ts';
import { type Clock, systemClock } from '../../../../kit/clock.ts';
import { createLog } from '../../../../kit/log.ts';

const SOON_MS = 20;

test('what wakes a follower leaves no timer behind', async () => {
  const timers = new Set<{ readonly delayMs: number; readonly run: () => void }>();
  const clock: Clock = {
    monotonicMs: () => 0,
    wallMs: () => 0,
    after: (delayMs, run) => {
      const timer = { delayMs, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };
  let wake = (): void => {};
  const follower = new Follower({
    journal: {
      tail: EMPTY_TAIL,
      bounds: () => Promise.resolve({ first: 1, last: 0 }),
      confirmedEnd: () => Promise.resolve(0),
      messageBehindTail: () => Promise.resolve(undefined),
      accept: () => expect.unreachable(),
    },
    hearAppends: (callback) => {
      wake = callback;
      return () => {};
    },
    clock,
    log: createLog({ role: 'test', level: 'silent' }),
    onCommit: () => {},
  });
  const following = follower.start();
  await settled();
  const atRest = timers.size;
  for (let append = 0; append < 50; append += 1) {
    wake();
    await settled();
    for (const timer of timers) {
      if (timer.delayMs > SOON_MS) continue;
      timers.delete(timer);
      timer.run();
    }
    await settled();
  }
  expect(timers.size).toBe(atRest);
  await follower.stop();
  expect(await following).toBe('stopped');
});

describe('the journal’s end', () => {
  /** NATS as a server sees it that is cut off from the others: nothing lies behind what was read. */
  function behindStaleServer(confirmedEnd: () => Promise<number>): Follower {
    return new Follower({
      journal: {
        tail: { ...EMPTY_TAIL, sequence: 3 },
        bounds: () => Promise.resolve({ first: 1, last: 3 }),
        confirmedEnd,
        messageBehindTail: () => Promise.resolve(undefined),
        accept: () => expect.unreachable(),
      },
      hearAppends: () => () => {},
      clock: systemClock,
      log: createLog({ role: 'test', level: 'silent' }),
      onCommit: () => {},
    });
  }

  test('is not where a server says it is that cannot prove it', async () => {
    const deposed = behindStaleServer(() => Promise.reject(new Error('TIMEOUT')));
    await expect(deposed.reachEnd(50)).rejects.toMatchObject({ reason: 'BEHIND' });
    const further = behindStaleServer(() => Promise.resolve(5));
    await expect(further.reachEnd(50)).rejects.toMatchObject({ reason: 'BEHIND' });
    await behindStaleServer(() => Promise.resolve(3)).reachEnd(50);
  });

  test('is asked for after each question, once for all that came meanwhile', async () => {
    const answers: ((end: number) => void)[] = [];
    const follower = behindStaleServer(() => new Promise((resolve) => answers.push(resolve)));
    const first = follower.reachEnd(50);
    await settled();
    const others = [1, 2, 3].map(() => follower.reachEnd(50));
    await settled();
    expect(answers).toHaveLength(1);
    answers[0]?.(3);
    await first;
    await settled();
    expect(answers).toHaveLength(2);
    answers[1]?.(3);
    await Promise.all(others);
  });
});

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
