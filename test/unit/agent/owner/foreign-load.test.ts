import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type CpuTimes, cpuTimesNow, ForeignLoad } from '../../../../agent/owner/foreign-load.ts';

function reads(...times: readonly CpuTimes[]): (number | undefined)[] {
  const left = [...times];
  const load = new ForeignLoad(() => left.shift()!);
  return times.map(() => load.read());
}

test('what was used since the last look, less what we used, of all there was', () => {
  const percents = reads(
    { busyMs: 1_000, idleMs: 9_000, oursMs: 500 },
    // 4 s of two processors: 6 s busy, of which 4 s ours.
    { busyMs: 7_000, idleMs: 11_000, oursMs: 4_500 },
    { busyMs: 7_000, idleMs: 19_000, oursMs: 4_500 },
    { busyMs: 15_000, idleMs: 19_000, oursMs: 4_500 },
  );
  expect(percents).toEqual([undefined, 25, 0, 100]);
});

test('time of ours that the kernel books late never makes it negative, nor others’ load of it', () => {
  const percents = reads(
    { busyMs: 0, idleMs: 0, oursMs: 0 },
    { busyMs: 1_000, idleMs: 1_000, oursMs: 1_200 },
    // Grandchildren that nobody waited for are gone from the books.
    { busyMs: 1_000, idleMs: 3_000, oursMs: 700 },
  );
  expect(percents).toEqual([undefined, 0, 0]);
});

test('where our own share cannot be told, nothing is said', () => {
  const times = { busyMs: 0, idleMs: 0, oursMs: undefined };
  expect(reads(times, { ...times, busyMs: 900, idleMs: 100 })).toEqual([undefined, undefined]);
});

test.runIf(process.platform === 'linux')(
  'a group that works is in our time while it runs, and when it has ended',
  async () => {
    const child = spawn(
      'sh',
      ['-c', 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 30'],
      {
        detached: true,
        stdio: 'ignore',
      },
    );
    const ended = once(child, 'exit');
    const ours = (): number => cpuTimesNow((group) => group === child.pid).oursMs ?? 0;
    const without = (): number => cpuTimesNow(() => false).oursMs ?? 0;
    try {
      // What it used while it runs is in the one and not in the other.
      while (ours() - without() < 100) await sleep(20);
      expect(child.exitCode).toBeNull();
    } finally {
      process.kill(-child.pid!, 'SIGKILL');
    }
    const before = without();
    await ended;
    expect(without() - before).toBeGreaterThanOrEqual(90);
  },
);
