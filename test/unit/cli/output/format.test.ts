import { expect, test } from 'vitest';
import {
  formatAge,
  formatBytes,
  formatCores,
  formatCount,
  formatDuration,
  formatFraction,
} from '../../../../cli/output/format.ts';

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [1536, '1.5 KiB'],
  [10 * 1024 * 1024, '10 MiB'],
  [1_503_238_553, '1.4 GiB'],
  // Rounding must not show 1024 of a unit.
  [1024 * 1024 - 1, '1 MiB'],
  [5000 * 2 ** 50, '5000 PiB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [-5, '0.0s'],
  [412, '0.4s'],
  [9_949, '9.9s'],
  [9_960, '10s'],
  [59_499, '59s'],
  [59_500, '1m 00s'],
  [72_000, '1m 12s'],
  [3_600_000, '1h 00m'],
  [7_500_000, '2h 05m'],
  [100 * 3_600_000, '4d 04h'],
])('%d ms are %s', (durationMs, text) => {
  expect(formatDuration(durationMs)).toBe(text);
});

test('ages, counts, cores and parts', () => {
  expect(formatAge(999)).toBe('just now');
  expect(formatAge(47_400)).toBe('47s ago');
  expect(formatCount(1, 'unit')).toBe('1 unit');
  expect(formatCount(0, 'unit')).toBe('0 units');
  expect(formatCores(500)).toBe('0.5');
  expect(formatCores(16_000)).toBe('16');
  // Nearly done is not done.
  expect(formatFraction(0.999)).toBe('99%');
  expect(formatFraction(1)).toBe('100%');
});
