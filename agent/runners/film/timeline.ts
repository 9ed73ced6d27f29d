/**
 * Time in a film: exact, in ticks. A tick is the stream's time base; nothing here rounds except where
 * ffmpeg takes microseconds, and there the error is carried on, so that it never adds up.
 */

/** Seconds = ticks × num / den. */
export interface TimeBase {
  readonly num: number;
  readonly den: number;
}

/** Presentation times of all frames, ascending, packed as runs of equal steps: [step, count]. */
export interface PackedTimes {
  readonly first: number;
  readonly runs: [number, number][];
}

export function parseTimeBase(text: string | undefined): TimeBase | undefined {
  const match = /^(\d+)\/(\d+)$/.exec(text ?? '');
  if (match === null) return undefined;
  const num = Number(match[1]);
  const den = Number(match[2]);
  return num > 0 && den > 0 ? { num, den } : undefined;
}

export function secondsOf(ticks: number, base: TimeBase): number {
  return (ticks * base.num) / base.den;
}

/** The same moment in another base's ticks, to the nearest. */
export function rescale(ticks: number, from: TimeBase, to: TimeBase): number {
  return Math.round((ticks * from.num * to.den) / (from.den * to.num));
}

export function packTimes(times: readonly number[]): PackedTimes {
  const runs: [number, number][] = [];
  for (let i = 1; i < times.length; i += 1) {
    const step = times[i]! - times[i - 1]!;
    const last = runs.at(-1);
    if (last?.[0] === step) last[1] += 1;
    else runs.push([step, 1]);
  }
  return { first: times[0] ?? 0, runs };
}

export function unpackTimes(packed: PackedTimes): number[] {
  const times = [packed.first];
  let at = packed.first;
  for (const [step, count] of packed.runs) {
    for (let i = 0; i < count; i += 1) {
      at += step;
      times.push(at);
    }
  }
  return times;
}

/**
 * Whole microseconds between neighbouring times, error-diffused: the sum of the first n is never more
 * than half a microsecond from the true distance.
 */
export function durationsUs(times: readonly number[], base: TimeBase): number[] {
  const origin = times[0] ?? 0;
  const at = (ticks: number): number => Math.round(secondsOf(ticks - origin, base) * 1e6);
  return times.slice(1).map((time, i) => at(time) - at(times[i]!));
}

/** Microseconds as ffmpeg reads seconds: `12.000340`. */
export function formatUs(us: number): string {
  const whole = Math.trunc(Math.abs(us) / 1e6);
  const rest = String(Math.abs(us) % 1e6).padStart(6, '0');
  return `${us < 0 ? '-' : ''}${whole}.${rest}`;
}

/** `00:01:02.250`, for people. */
export function formatClock(seconds: number): string {
  const ms = Math.max(0, Math.round(seconds * 1000));
  const two = (value: number): string => String(value).padStart(2, '0');
  const clock = `${two(Math.floor(ms / 3_600_000))}:${two(Math.floor(ms / 60_000) % 60)}:${two(Math.floor(ms / 1000) % 60)}`;
  return `${clock}.${String(ms % 1000).padStart(3, '0')}`;
}

/**
 * Where pieces begin: indices into `times`, the first always 0. Each begins at one of `keyTimes`, as
 * near as can be to a multiple of `pieceTicks` after the piece before; a rest shorter than half a
 * piece stays with the last one.
 */
export function pieceStarts(
  times: readonly number[],
  keyTimes: readonly number[],
  pieceTicks: number,
): number[] {
  const starts = [0];
  if (times.length === 0) return starts;
  const indexOf = new Map(times.map((time, index) => [time, index]));
  const end = times.at(-1)!;
  let wanted = times[0]! + pieceTicks;
  for (let i = 0; i < keyTimes.length; i += 1) {
    const key = keyTimes[i]!;
    const next = keyTimes[i + 1];
    const index = indexOf.get(key);
    if (index === undefined || index <= starts.at(-1)!) continue;
    if (end - key < pieceTicks / 2) break;
    const nearer = next === undefined || Math.abs(key - wanted) <= Math.abs(next - wanted);
    if (!nearer) continue;
    starts.push(index);
    wanted = key + pieceTicks;
  }
  return starts;
}
