/**
 * Hours of the week by the clock on the wall: windows such as mon-fri 22:00-07:00, in a time zone. What the
 * wall clock says is all that counts, so that a night stays a night when summer time begins or ends: an hour
 * that is skipped is in no window, and one that comes twice is twice in it.
 */
import { FurrowError } from './furrow-error.ts';

/** A stretch of the clock on some days of the week. */
export interface WeeklyWindow {
  /** On which it begins: 0 is Monday. */
  readonly days: readonly number[];
  /** Of the day: 0–1439. */
  readonly startMinute: number;
  /** Of the day: 1–1440; at or before the start: on the next day. */
  readonly endMinute: number;
}

/** What the clock on the wall shows. */
export interface WallClock {
  /** 0 is Monday. */
  readonly day: number;
  /** Of the day. */
  readonly minute: number;
}

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const DAY_MINUTES = 24 * 60;
const WEEK_MINUTES = 7 * DAY_MINUTES;
const EVERY_DAY: readonly number[] = DAYS.map((_, day) => day);

export function isWithin(windows: readonly WeeklyWindow[], now: WallClock): boolean {
  return windows.some((window) =>
    window.days.some(
      (day) => minutesUntil(now, day, window.startMinute, 'back') < lengthOf(window),
    ),
  );
}

/** When one of the windows begins next; undefined when there are none. */
export function nextStart(
  windows: readonly WeeklyWindow[],
  now: WallClock,
): { readonly at: WallClock; readonly inMinutes: number } | undefined {
  const starts = windows.flatMap(({ days, startMinute }) =>
    days.map((day) => ({
      at: { day, minute: startMinute },
      inMinutes: minutesUntil(now, day, startMinute, 'ahead'),
    })),
  );
  return starts.toSorted((a, b) => a.inMinutes - b.inMinutes)[0];
}

function minutesUntil(now: WallClock, day: number, minute: number, way: 'ahead' | 'back'): number {
  const ahead = (day - now.day) * DAY_MINUTES + minute - now.minute;
  return ((way === 'ahead' ? ahead : -ahead) + WEEK_MINUTES) % WEEK_MINUTES;
}

function lengthOf({ startMinute, endMinute }: WeeklyWindow): number {
  return endMinute > startMinute ? endMinute - startMinute : endMinute - startMinute + DAY_MINUTES;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** `timeZone`: an IANA name; empty for this machine's. Throws RangeError when there is no such zone. */
export function wallClockAt(wallMs: number, timeZone: string): WallClock {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      ...(timeZone !== '' && { timeZone }),
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    formats.set(timeZone, format);
  }
  const parts = new Map(format.formatToParts(wallMs).map(({ type, value }) => [type, value]));
  const day = DAYS.findIndex((name) => name === parts.get('weekday')?.toLowerCase());
  return { day, minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')) };
}

/** `07:05`. */
export function formatMinute(minute: number): string {
  const hour = Math.floor(minute / 60);
  return `${String(hour).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
}

export function formatDay(day: number): string {
  return DAYS[day] ?? '';
}

/** As `parseHours` reads them: `mon-fri 19:00-07:00; sat,sun 00:00-24:00`. */
export function formatHours(windows: readonly WeeklyWindow[]): string {
  return windows
    .map(({ days, startMinute, endMinute }) => {
      const hours = `${formatMinute(startMinute)}-${formatMinute(endMinute)}`;
      return days.length === DAYS.length ? hours : `${formatDays(days)} ${hours}`;
    })
    .join('; ');
}

/** Three days or more in a row are a range. */
function formatDays(days: readonly number[]): string {
  const words: string[] = [];
  for (let at = 0; at < days.length;) {
    let end = at;
    while (end + 1 < days.length && days[end + 1] === days[end]! + 1) end += 1;
    const run = days.slice(at, end + 1).map(formatDay);
    words.push(...(run.length > 2 ? [`${run[0]}-${run.at(-1)}`] : run));
    at = end + 1;
  }
  return words.join(',');
}

/**
 * Windows with `;` between them: days (`mon-fri`, `sat,sun`; none for every day), then hours
 * (`22:00-07:00`, overnight; `00:00-24:00`). FurrowError: invalid HOURS_MALFORMED.
 */
export function parseHours(text: string): WeeklyWindow[] {
  return text
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(parseWindow);
}

function parseWindow(text: string): WeeklyWindow {
  const match = /^(?:(\S+) +)?(\d{1,2}):(\d{2}) ?- ?(\d{1,2}):(\d{2})$/.exec(text.toLowerCase());
  const startMinute = minuteOf(match?.[2], match?.[3]);
  // Midnight at the end is that of the next day.
  const endMinute = minuteOf(match?.[4], match?.[5]) || DAY_MINUTES;
  if (match === null || startMinute >= DAY_MINUTES || endMinute > DAY_MINUTES)
    throw malformed(text);
  if (startMinute === endMinute) throw malformed(text);
  const days = match[1] === undefined ? EVERY_DAY : parseDays(match[1], text);
  return { days, startMinute, endMinute };
}

/** More than a day when it is none. */
function minuteOf(hour: string | undefined, minute: string | undefined): number {
  return Number(minute) < 60 ? Number(hour) * 60 + Number(minute) : Infinity;
}

function parseDays(text: string, whole: string): number[] {
  const found = new Set<number>();
  for (const range of text.split(',')) {
    const [first, last = first, ...more] = range.split('-').map((name) => dayOf(name));
    if (first === undefined || last === undefined || first < 0 || last < 0 || more.length > 0) {
      throw malformed(whole);
    }
    for (let day = first; ; day = (day + 1) % DAYS.length) {
      found.add(day);
      if (day === last) break;
    }
  }
  return [...found].toSorted((a, b) => a - b);
}

/** -1 when it is none. */
function dayOf(name: string): number {
  return DAYS.findIndex((day) => day === name);
}

function malformed(text: string): FurrowError {
  const message = `'${text}' are no hours: write days and times, such as 'mon-fri 19:00-07:00; sat,sun 00:00-24:00'`;
  return new FurrowError('invalid', 'HOURS_MALFORMED', message);
}
