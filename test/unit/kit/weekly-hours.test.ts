import { expect, test } from 'vitest';
import {
  formatHours,
  isWithin,
  nextStart,
  parseHours,
  wallClockAt,
  type WallClock,
} from '../../../kit/weekly-hours.ts';

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const at = (text: string): WallClock => {
  const [day = '', time = ''] = text.split(' ');
  const [hour, minute] = time.split(':').map(Number);
  return { day: DAYS.indexOf(day), minute: (hour ?? 0) * 60 + (minute ?? 0) };
};

test.each([
  ['mon-fri 19:00-07:00; sat,sun 00:00-24:00', 'mon-fri 19:00-07:00; sat,sun 00:00-24:00'],
  ['22:00-07:00', '22:00-07:00'],
  ['FRI-MON 8:30 - 9:15', 'mon,fri-sun 08:30-09:15'],
  ['tue 12:00-00:00;', 'tue 12:00-24:00'],
  ['', ''],
])('%s is read as %s', (text, written) => {
  expect(formatHours(parseHours(text))).toBe(written);
  expect(parseHours(written)).toEqual(parseHours(text));
});

test.each([
  'noon',
  'mon',
  'mo 1:00-2:00',
  'mon-tue-wed 1:00-2:00',
  '25:00-26:00',
  '1:00-1:00',
  '1:60-2:00',
  '10:00-24:01',
])('%s is refused in one line with an example', (text) => {
  expect(() => parseHours(text)).toThrow(/^'.+' are no hours: write days and times, such as/);
});

test('an overnight window belongs to the evening that it begins on, and goes over the end of a week', () => {
  const nights = parseHours('fri,sun 22:00-07:00');
  const open = ['fri 22:00', 'sat 00:00', 'sat 06:59', 'sun 22:00', 'mon 06:59'];
  const closed = ['fri 06:00', 'fri 21:59', 'sat 07:00', 'sat 23:00', 'mon 07:00', 'sun 06:00'];
  const isOpen = (time: string): boolean => isWithin(nights, at(time));
  expect(open.filter(isOpen)).toEqual(open);
  expect(closed.filter(isOpen)).toEqual([]);
});

test('the next start is the nearest one ahead', () => {
  const hours = parseHours('mon-fri 19:00-07:00; sat 10:00-12:00');
  expect(nextStart(hours, at('tue 12:00'))).toEqual({ at: at('tue 19:00'), inMinutes: 420 });
  expect(nextStart(hours, at('sat 08:00'))?.at).toEqual(at('sat 10:00'));
  expect(nextStart(hours, at('sat 12:00'))).toEqual({ at: at('mon 19:00'), inMinutes: 55 * 60 });
  expect(nextStart([], at('sat 12:00'))).toBeUndefined();
});

test('the wall clock is the zone’s', () => {
  const noonUtc = Date.UTC(2026, 10, 30, 12);
  expect(wallClockAt(noonUtc, 'Europe/Berlin')).toEqual(at('mon 13:00'));
  expect(wallClockAt(noonUtc, 'Asia/Kolkata')).toEqual(at('mon 17:30'));
  expect(wallClockAt(noonUtc, 'Pacific/Auckland')).toEqual(at('tue 01:00'));
  expect(wallClockAt(Date.UTC(2026, 10, 30, 0), 'UTC')).toEqual(at('mon 00:00'));
  expect(() => wallClockAt(noonUtc, 'Mars/Base')).toThrow(RangeError);
});

/** Minutes of the span, of real time, that are within the windows in that zone. */
function openMinutes(text: string, zone: string, fromMs: number, toMs: number): number {
  const windows = parseHours(text);
  let minutes = 0;
  for (let ms = fromMs; ms < toMs; ms += 60_000) {
    if (isWithin(windows, wallClockAt(ms, zone))) minutes += 1;
  }
  return minutes;
}

test('when summer time begins, a night is an hour shorter and still ends at seven', () => {
  // Berlin, Sunday 29 March 2026: 02:00 is 03:00.
  const [from, to] = [Date.UTC(2026, 2, 28, 20), Date.UTC(2026, 2, 29, 12)];
  expect(openMinutes('sat 22:00-07:00', 'Europe/Berlin', from, to)).toBe(8 * 60);
  // Skipped.
  expect(openMinutes('sun 02:00-03:00', 'Europe/Berlin', from, to)).toBe(0);
  const sevenBerlin = Date.UTC(2026, 2, 29, 5);
  const night = parseHours('sat 22:00-07:00');
  expect(isWithin(night, wallClockAt(sevenBerlin - 60_000, 'Europe/Berlin'))).toBe(true);
  expect(isWithin(night, wallClockAt(sevenBerlin, 'Europe/Berlin'))).toBe(false);
});

test('when summer time ends, a night is an hour longer and still ends at seven', () => {
  // Berlin, Sunday 25 October 2026: 03:00 is 02:00 again.
  const [from, to] = [Date.UTC(2026, 9, 24, 18), Date.UTC(2026, 9, 25, 12)];
  expect(openMinutes('sat 22:00-07:00', 'Europe/Berlin', from, to)).toBe(10 * 60);
  // Twice.
  expect(openMinutes('sun 02:00-03:00', 'Europe/Berlin', from, to)).toBe(120);
  const sevenBerlin = Date.UTC(2026, 9, 25, 6);
  const night = parseHours('sat 22:00-07:00');
  expect(isWithin(night, wallClockAt(sevenBerlin - 60_000, 'Europe/Berlin'))).toBe(true);
  expect(isWithin(night, wallClockAt(sevenBerlin, 'Europe/Berlin'))).toBe(false);
});
