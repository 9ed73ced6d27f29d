import { expect, test } from 'vitest';
import {
  restartPauseMs,
  Supervisor,
  type Child,
  type ChildExit,
  type SupervisorEvent,
} from '../../../../cli/up/supervisor.ts';
import type { Clock } from '../../../../kit/clock.ts';

/** Time that moves only when a test says so. */
function manualClock(): Clock & { advance(byMs: number): Promise<void> } {
  let nowMs = 0;
  const timers = new Set<{ atMs: number; callback: () => void }>();
  return {
    monotonicMs: () => nowMs,
    wallMs: () => nowMs,
    after(delayMs, callback) {
      const timer = { atMs: nowMs + delayMs, callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    async advance(byMs) {
      await settled();
      nowMs += byMs;
      for (const timer of timers) {
        if (timer.atMs > nowMs) continue;
        timers.delete(timer);
        timer.callback();
      }
      await settled();
    },
  };
}

/** Lets everything run that waits for nothing but its turn. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp() {
  const clock = manualClock();
  const events: SupervisorEvent[] = [];
  const children: { end: (exit: ChildExit) => void; stopped: boolean }[] = [];
  const failures: Error[] = [];
  const start = async (): Promise<Child> => {
    const failure = failures.shift();
    if (failure) throw failure;
    const { promise: exited, resolve: end } = promiseOf<ChildExit>();
    const record = { end, stopped: false };
    children.push(record);
    return {
      pid: children.length,
      exited,
      async stop() {
        record.stopped = true;
        end({ code: 0, signal: null });
      },
      kill() {
        end({ code: null, signal: 'SIGKILL' });
      },
    };
  };
  const supervisor = new Supervisor({ start, clock, onEvent: (event) => events.push(event) });
  return { clock, events, children, failures, supervisor };
}

function promiseOf<T>() {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}

const CRASH: ChildExit = { code: null, signal: 'SIGKILL' };

test('what ends is started again after a pause that grows while it keeps crashing', async () => {
  const { clock, events, children, supervisor } = setUp();
  await supervisor.start();
  for (const pauseMs of [500, 1000, 2000]) {
    children.at(-1)!.end(CRASH);
    await settled();
    expect(events.at(-1)).toEqual({ kind: 'ended', exit: CRASH, pauseMs });
    const before = children.length;
    await clock.advance(pauseMs - 1);
    expect(children.length).toBe(before);
    await clock.advance(1);
    expect(children.length).toBe(before + 1);
    expect(events.at(-1)).toEqual({ kind: 'restarted', pid: before + 1 });
  }
  expect(restartPauseMs(40)).toBe(30_000);
});

test('a steady run forgives earlier crashes', async () => {
  const { clock, events, children, supervisor } = setUp();
  await supervisor.start();
  for (let i = 0; i < 3; i += 1) {
    children.at(-1)!.end(CRASH);
    await clock.advance(30_000);
  }
  await clock.advance(60_000);
  children.at(-1)!.end(CRASH);
  await settled();
  expect(events.at(-1)).toMatchObject({ kind: 'ended', pauseMs: 500 });
});

test('a restart that fails is tried again; a first start that fails is not', async () => {
  const { clock, events, children, failures, supervisor } = setUp();
  failures.push(new Error('port taken'));
  await expect(supervisor.start()).rejects.toThrow('port taken');
  await clock.advance(100_000);
  expect(children).toEqual([]);

  await supervisor.start();
  failures.push(new Error('port taken'));
  children[0]!.end(CRASH);
  await clock.advance(500);
  expect(events.at(-1)).toEqual({ kind: 'start-failed', message: 'port taken', pauseMs: 1000 });
  await clock.advance(1000);
  expect(events.at(-1)).toEqual({ kind: 'restarted', pid: 2 });
});

test('a stop ends the child and starts no other, also in the middle of a pause', async () => {
  const { clock, events, children, supervisor } = setUp();
  await supervisor.start();
  await supervisor.stop(1000);
  expect(children.map((child) => child.stopped)).toEqual([true]);
  expect(events).toEqual([]);

  const paused = setUp();
  await paused.supervisor.start();
  paused.children[0]!.end(CRASH);
  await settled();
  await paused.supervisor.stop(1000);
  await clock.advance(100_000);
  expect(paused.children.length).toBe(1);
});

test('a killed child is not started again', async () => {
  const { clock, events, children, supervisor } = setUp();
  await supervisor.start();
  supervisor.kill();
  await clock.advance(100_000);
  expect(events).toEqual([]);
  expect(children.length).toBe(1);
  await supervisor.stop(1000);
});
