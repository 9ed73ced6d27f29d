/**
 * A clip at the film's rate: frame k is what the clip shows k frames after its first picture. ffmpeg's own fps
 * filter does it, and here is what it does, so that a stretch can be cut out and give the same frames. Pure.
 */
import type { TimeBase } from '../film/timeline.ts';
import type { Rate } from './timecode.ts';

/**
 * Which of the clip's frames are shown as frames `from` to `until` (exclusive) of the film's rate: the last one
 * whose time, to the nearest frame, has come. `times` in ticks, ascending.
 */
export function shownFrames(
  times: readonly number[],
  base: TimeBase,
  rate: Rate,
  from: number,
  until: number,
): { readonly first: number; readonly last: number } {
  const shownAt = (frame: number): number => {
    let [low, high] = [0, times.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (frameAt(times[middle]! - times[0]!, base, rate) <= frame) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  return { first: shownAt(from), last: shownAt(until - 1) };
}

/** Ticks since the first picture, as a frame of the film's rate, to the nearest; halves go up. */
export function frameAt(ticks: number, base: TimeBase, rate: Rate): number {
  // Ticks of a long clip times two rates do not fit a double.
  const above = BigInt(ticks) * BigInt(base.num) * BigInt(rate.num) * 2n;
  const below = BigInt(base.den) * BigInt(rate.den);
  return Number((above + below) / (2n * below));
}

export function rateText({ num, den }: Rate): string {
  return `${num}/${den}`;
}

/** From pictures that begin at 0 to frames of the rate, each with its number for a time. */
export function conformFilters(rate: Rate): string[] {
  return [`fps=${rateText(rate)}`];
}

/**
 * Each film frame j shows frame ⌊j · percent / 100⌋ of what comes in, one after the other from 0; `frames`
 * come out.
 */
export function speedFilters(rate: Rate, speedPercent: number, frames: number): string[] {
  if (speedPercent === 100) return [`trim=end_frame=${frames}`];
  return [
    // In hundredths of a frame nothing is rounded.
    `settb=${rate.den}/${rate.num * 100}`,
    `setpts=N*10000/${speedPercent}`,
    `fps=${rateText(rate)}:round=up`,
    `tpad=stop=${frames}:stop_mode=clone`,
    `trim=end_frame=${frames}`,
  ];
}
