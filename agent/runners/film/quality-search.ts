/**
 * Which constant quality to try next, so that few trials find the one that takes the fewest bits of those
 * that are good enough. Likeness falls as the number grows; where noise bends that a little, what was
 * measured counts.
 */
import type { QualityProbe } from './quality-facts.ts';

/** Undefined when it is found. Halves what is left, so that of 63 there are six trials at most. */
export function nextQuality(
  probes: readonly QualityProbe[],
  target: number,
  range: { readonly from: number; readonly to: number },
): number | undefined {
  const { good, bad } = bounds(probes, target);
  const low = good ?? range.from - 1;
  const high = bad ?? range.to + 1;
  if (high - low <= 1) return undefined;
  return Math.floor((low + high) / 2);
}

/** The largest that is good enough and the smallest that is not; of what was tried. */
function bounds(
  probes: readonly QualityProbe[],
  target: number,
): { readonly good: number | undefined; readonly bad: number | undefined } {
  let good: number | undefined;
  let bad: number | undefined;
  for (const { crf, ssim } of probes) {
    if (ssim >= target) good = Math.max(good ?? crf, crf);
    else bad = Math.min(bad ?? crf, crf);
  }
  return { good, bad };
}

/** The best of what was tried; where none is good enough, the one that comes nearest. */
export function chosenQuality(
  probes: readonly QualityProbe[],
  target: number,
): QualityProbe | undefined {
  const { good } = bounds(probes, target);
  if (good !== undefined) return probes.find(({ crf }) => crf === good);
  return [...probes].sort((a, b) => b.ssim - a.ssim || a.crf - b.crf)[0];
}

/** Seconds at which samples begin: evenly over the film, the first and last not at its very ends. */
export function sampleStarts(seconds: number, sampleSeconds: number, most: number): number[] {
  const count = Math.max(1, Math.min(most, Math.floor(seconds / (2 * sampleSeconds))));
  const room = Math.max(0, seconds - sampleSeconds);
  return Array.from({ length: count }, (_, i) => (room * (i + 0.5)) / count);
}
