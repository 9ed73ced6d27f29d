/** The sound of a montage: samples that belong to its frames. Pure. */
import type { Rate } from './timecode.ts';

export const SOUND_RATE = 48_000;
export const SOUND_CHANNELS = 2;

/** Samples until so many frames have been shown, to the nearest: what adds up over shots never drifts. */
export function soundSamples(frames: number, { num, den }: Rate): number {
  return Math.round((frames * den * SOUND_RATE) / num);
}
