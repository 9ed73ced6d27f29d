import { expect, test } from 'vitest';
import { parseStat, readProcess } from '../../../../agent/process/process-table.ts';

const REST =
  '1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9000000 250 18446744073709551615';

test('a name with brackets and spaces does not shift the fields', () => {
  expect(parseStat(`42 (tmux: a) b (c) S ${REST}`, 4096)).toEqual({
    pid: 42,
    parent: 1,
    group: 77,
    startTicks: 123456,
    residentBytes: 250 * 4096,
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
