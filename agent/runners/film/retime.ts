/**
 * The frames of a film whose frames are not its source's: when each is shown, and of which of the source's
 * frames it is made. Pure and exact: times are compared as whole numbers, so that every machine answers the
 * same and no frame is lost or doubled where pieces meet.
 *
 * The film begins with the source's first frame and ends where the source does, to the nearest frame.
 */
import type { Retime } from '../../../proto/gen/furrow/v1/task.ts';
import type { TimeBase } from './timeline.ts';

/** When the frames of a film or of its source are shown. */
export interface Timeline {
  readonly timeBase: TimeBase;
  /** Ticks, ascending. */
  readonly times: readonly number[];
  /** How long the last frame is shown. */
  readonly lastFrameTicks: number;
}

export interface RetimedFrames extends Timeline {
  /** For each frame, the index of the source's frame that it shows, or that it comes after; never falls. */
  readonly from: Int32Array;
  /**
   * For each frame, how far on the way from that frame to the next of the source's it lies: 0 shows the
   * frame itself; above 0 and below 1, it is made of both.
   */
  readonly part: Float64Array;
}

/** Ticks a second at least, so that a container's own rounding stays below 0.1 ms. */
const MIN_TICKS_PER_SECOND = 10_000;

/** The time base of `retimed`'s answer. */
export function retimedBase(source: TimeBase, { rateNum, rateDen, factor }: Retime): TimeBase {
  if (factor > 0) return finer(source, factor);
  return ticksPerFrame({ num: rateNum, den: rateDen }).timeBase;
}

function finer({ num, den }: TimeBase, factor: number): TimeBase {
  return { num, den: den * factor };
}

/** How many frames `retimed` would answer, however many. */
export function retimedCount(source: Timeline, retime: Retime): number {
  const { rateNum, rateDen, factor } = retime;
  if (factor > 0) return source.times.length * factor;
  return evenly(source, { num: rateNum, den: rateDen }).frames;
}

/** The film's frames, from the times of the source's. */
export function retimed(source: Timeline, retime: Retime): RetimedFrames {
  return retime.factor > 0 ? multiplied(source, retime.factor) : atRate(source, retime);
}

/** `factor` frames for each of the source's, evenly from it to the next. */
export function multiplied(
  { timeBase, times, lastFrameTicks }: Timeline,
  factor: number,
): RetimedFrames {
  const frames = times.length * factor;
  const from = new Int32Array(frames);
  const part = new Float64Array(frames);
  const at: number[] = [];
  for (const [i, time] of times.entries()) {
    const next = times[i + 1];
    const step = next === undefined ? lastStep(times, lastFrameTicks) : next - time;
    for (let k = 0; k < factor; k += 1) {
      from[at.length] = i;
      // After the last there is nothing to be between.
      part[at.length] = next === undefined ? 0 : k / factor;
      at.push(time * factor + k * step);
    }
  }
  return {
    timeBase: finer(timeBase, factor),
    times: at,
    // Of the last step's `factor` parts the last.
    lastFrameTicks: lastStep(times, lastFrameTicks),
    from,
    part,
  };
}

/** As long as the step before it, which is how filters that double frames go on beyond the end. */
function lastStep(times: readonly number[], lastFrameTicks: number): number {
  const before = times.at(-2);
  return before === undefined ? Math.max(1, lastFrameTicks) : times.at(-1)! - before;
}

function atRate(source: Timeline, retime: Retime): RetimedFrames {
  const { times } = source;
  const rate = { num: retime.rateNum, den: retime.rateDen };
  const { frames, scale, step } = evenly(source, rate);
  const from = new Int32Array(frames);
  const part = new Float64Array(frames);
  const first = BigInt(times[0] ?? 0);
  const slack = scale * BigInt(retime.between ? 1 : slackTicks(source, rate));
  const timeOf = (index: number): bigint => (BigInt(times[index]!) - first) * scale;
  let index = 0;
  let next = times.length > 1 ? timeOf(1) : undefined;
  for (let frame = 0; frame < frames; frame += 1) {
    const now = BigInt(frame) * step;
    while (next !== undefined && next <= now + slack) {
      index += 1;
      next = index + 1 < times.length ? timeOf(index + 1) : undefined;
    }
    from[frame] = index;
    const since = now - timeOf(index);
    if (!retime.between || next === undefined || since <= slack) continue;
    part[frame] = Number(since) / Number(next - timeOf(index));
  }
  const ticks = ticksPerFrame(rate);
  return {
    timeBase: ticks.timeBase,
    times: Array.from({ length: frames }, (_, frame) => frame * ticks.step),
    lastFrameTicks: ticks.step,
    from,
    part,
  };
}

/**
 * How many frames a film at this rate has. A source tick is `scale` of a unit so fine that a frame of the
 * film is a whole number of it: `step`.
 */
function evenly(
  { timeBase, times, lastFrameTicks }: Timeline,
  rate: TimeBase,
): { readonly frames: number; readonly scale: bigint; readonly step: bigint } {
  const scale = BigInt(timeBase.num) * BigInt(rate.num);
  const step = BigInt(timeBase.den) * BigInt(rate.den);
  const length = BigInt((times.at(-1) ?? 0) + lastFrameTicks - (times[0] ?? 0)) * scale;
  const frames = Number((2n * length + step) / (2n * step));
  return { frames: Math.max(1, frames), scale, step };
}

/**
 * By how many ticks a source's frame may be late and still be the one that is shown: containers round times,
 * and a frame a millisecond late must not double the one before it and drop another. Less than half of
 * either pace, so that the nearest frame is shown where frames are left out.
 */
export function slackTicks(
  { timeBase, times }: Omit<Timeline, 'lastFrameTicks'>,
  rate: TimeBase,
): number {
  const steps = times.slice(1).map((time, i) => time - times[i]!);
  steps.sort((a, b) => a - b);
  const usual = steps[Math.floor(steps.length / 2)] ?? 0;
  const frame = Math.floor((rate.den * timeBase.den) / (rate.num * timeBase.num));
  return Math.max(0, Math.ceil(Math.min(usual, frame) / 2) - 1);
}

/** A frame of such a rate in ticks, exactly, and the ticks. `rate.num` / `rate.den` frames a second. */
function ticksPerFrame(rate: TimeBase): {
  readonly timeBase: TimeBase;
  readonly step: number;
} {
  const times = Math.ceil(MIN_TICKS_PER_SECOND / rate.num);
  return { timeBase: { num: 1, den: rate.num * times }, step: rate.den * times };
}

/** Frames of the film that come from the source's frames `first` to `first + count - 1`. */
export function stretchOf(
  { from }: Pick<RetimedFrames, 'from'>,
  first: number,
  count: number,
): { readonly firstFrame: number; readonly frames: number } {
  const firstFrame = lowerBound(from, first);
  return { firstFrame, frames: lowerBound(from, first + count) - firstFrame };
}

/** Index of the first value that is not less. `values` ascend. */
function lowerBound(values: Int32Array, wanted: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Of where pieces begin, those that leave each piece a frame of the film at least. `starts` are indices of
 * the source's frames, the first 0.
 */
export function startsWithFrames(
  film: Pick<RetimedFrames, 'from'>,
  starts: readonly number[],
  sourceFrames: number,
): number[] {
  const kept: number[] = [];
  for (const start of starts) {
    const before = kept.at(-1);
    const full = before === undefined || stretchOf(film, before, start - before).frames > 0;
    if (full) kept.push(start);
  }
  const last = kept.at(-1) ?? 0;
  if (kept.length > 1 && stretchOf(film, last, sourceFrames - last).frames === 0) kept.pop();
  return kept;
}
