/** How the energy of a piece of music rises and falls: loudness, and how much begins. Pure. */
import { ENVELOPE_RATE } from './onset-envelope.ts';

const STEPS_A_SECOND = 2;
/** Steps to both sides that are looked at together: a bar or so. */
const REACH = 2;
const LOUDNESS_SHARE = 0.65;

/** Twice a second, 0 (the quietest of the piece) to 1. `loudness` and `flux` at the envelope's rate. */
export function energyCurve(loudness: Float64Array, flux: Float64Array): number[] {
  const steps = Math.max(1, Math.ceil((loudness.length / ENVELOPE_RATE) * STEPS_A_SECOND));
  const loud = spread(smoothed(means(loudness, steps).map((rms) => 20 * Math.log10(rms + 1e-4))));
  const busy = spread(smoothed(means(flux, steps)));
  return loud.map((value, i) => {
    const energy = LOUDNESS_SHARE * value + (1 - LOUDNESS_SHARE) * busy[i]!;
    return Math.round(energy * 1000) / 1000;
  });
}

function means(values: Float64Array, steps: number): number[] {
  return Array.from({ length: steps }, (_, step) => {
    const from = Math.floor((step * ENVELOPE_RATE) / STEPS_A_SECOND);
    const part = values.subarray(from, Math.floor(((step + 1) * ENVELOPE_RATE) / STEPS_A_SECOND));
    return part.reduce((sum, value) => sum + value, 0) / Math.max(1, part.length);
  });
}

function smoothed(values: readonly number[]): number[] {
  return values.map((_, i) => {
    const around = values.slice(Math.max(0, i - REACH), i + REACH + 1);
    return around.reduce((sum, value) => sum + value, 0) / around.length;
  });
}

/** From the piece's own quiet to its loud; one that is always the same is halfway. */
function spread(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  const low = sorted[Math.floor(sorted.length * 0.05)]!;
  const high = sorted[Math.ceil(sorted.length * 0.95) - 1]!;
  return values.map((value) =>
    high - low < 1e-6 ? 0.5 : Math.min(1, Math.max(0, (value - low) / (high - low))),
  );
}
