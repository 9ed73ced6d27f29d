import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { environmentOf, parseStat, readProcess } from '../../../../agent/process/process-table.ts';

const REST =
  '1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9000000 250 18446744073709551615';

test('a name with brackets and spaces does not shift the fields', () => {
  expect(parseStat(`42 (tmux: a) b (c) S ${REST}`, 4096)).toEqual({
    pid: 42,
    parent: 1,
    group: 77,
    startTicks: 123456,
    residentBytes: 250 * 4096,
    cpuTicks: 26,
  });
});

test('a zombie is none', () => {
  expect(parseStat(`42 (sh) Z ${REST}`, 4096)).toBeNull();
});

test('this process is there, with its memory', () => {
  const self = readProcess(process.pid);
  expect(self?.parent).toBe(process.ppid);
  const ratio = (self?.residentBytes ?? 0) / process.memoryUsage.rss();
  expect(ratio).toBeGreaterThan(0.5);
  expect(ratio).toBeLessThan(2);
});

test('a variable is found in an environment of many pages', async () => {
  const env = { PATH: process.env['PATH'], FILLER: 'x'.repeat(100_000), MARKER: 'here' };
  const child = spawn('cat', { env, stdio: ['pipe', 'pipe', 'ignore'] });
  try {
    child.stdin.write('.');
    // It answers: so it is the program by now, and no longer a copy of us.
    await once(child.stdout, 'data');
    expect(environmentOf(child.pid!, 'FILLER')).toBe(env.FILLER);
    expect(environmentOf(child.pid!, 'MARKER')).toBe('here');
    expect(readProcess(child.pid!)?.parent).toBe(process.pid);
  } finally {
    child.kill();
    await once(child, 'close');
  }
});
