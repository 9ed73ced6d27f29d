/**
 * What a clip is like, from small grey copies of its frames: where its scenes change, how much moves, how well
 * exposed and how sharp it is. Frames come one after the other, so that a long clip is never in memory. Pure.
 */
import { THUMB_BYTES } from '../film/picture-likeness.ts';

/** Measures a second. */
export const STEPS_A_SECOND = 2;

export const QUALITY_WIDTH = 160;
export const QUALITY_HEIGHT = 90;

const LEVELS = 16;
/** Grey levels, mean over the picture: less is never another scene. */
const LEAST_CUT = 9;
/** So many times what the frames around change. */
const CUT_FACTOR = 3;
/** Share of the picture whose grey levels are others than before. */
const LEAST_HISTOGRAM_CHANGE = 0.12;
/** Frames to both sides. */
const CUT_REACH = 8;

export interface FrameMeasures {
  readonly frames: number;
  /** Frames with which a new scene begins, ascending. */
  readonly cuts: number[];
  /** For each step: mean difference between its neighbouring frames, in grey levels a second. */
  readonly motion: number[];
  /** For each step: mean grey level, 0 to 255. */
  readonly brightness: number[];
  /** For each step: deviation of grey levels over the picture. */
  readonly contrast: number[];
}

interface Step {
  frames: number;
  motion: number;
  brightness: number;
  contrast: number;
}

/** Takes thumbs of all frames of a clip, in order. */
export class FrameMeter {
  readonly #rate: number;
  readonly #differences: number[] = [];
  readonly #histogramChanges: number[] = [];
  readonly #steps: Step[] = [];
  #before: Uint8Array | undefined;
  #levelsBefore = new Float64Array(LEVELS);

  /** `rate`: frames a second. */
  constructor(rate: number) {
    this.#rate = rate;
  }

  add(thumb: Uint8Array): void {
    const at = this.#differences.length;
    const step = (this.#steps[Math.floor((at * STEPS_A_SECOND) / this.#rate)] ??= {
      frames: 0,
      motion: 0,
      brightness: 0,
      contrast: 0,
    });
    const levels = new Float64Array(LEVELS);
    let [sum, squares, difference] = [0, 0, 0];
    for (let i = 0; i < THUMB_BYTES; i += 1) {
      const grey = thumb[i]!;
      sum += grey;
      squares += grey * grey;
      levels[grey >> 4]! += 1 / THUMB_BYTES;
      if (this.#before !== undefined) difference += Math.abs(grey - this.#before[i]!);
    }
    const mean = sum / THUMB_BYTES;
    const moved = difference / THUMB_BYTES;
    let changed = 0;
    for (let i = 0; i < LEVELS; i += 1)
      changed += Math.abs(levels[i]! - this.#levelsBefore[i]!) / 2;
    this.#differences.push(moved);
    this.#histogramChanges.push(this.#before === undefined ? 0 : changed);
    step.frames += 1;
    step.motion += moved;
    step.brightness += mean;
    step.contrast += Math.sqrt(Math.max(0, squares / THUMB_BYTES - mean * mean));
    this.#before = Uint8Array.from(thumb);
    this.#levelsBefore = levels;
  }

  finish(): FrameMeasures {
    const mean = (of: (step: Step) => number): number[] =>
      this.#steps.map((step) => rounded(of(step) / step.frames));
    return {
      frames: this.#differences.length,
      cuts: sceneCuts(this.#differences, this.#histogramChanges),
      motion: mean((step) => step.motion * this.#rate),
      brightness: mean((step) => step.brightness),
      contrast: mean((step) => step.contrast),
    };
  }
}

/** Where a frame differs from the one before by far more than frames around it do, in levels too. */
export function sceneCuts(
  differences: readonly number[],
  histogramChanges: readonly number[],
): number[] {
  const cuts: number[] = [];
  for (let at = 1; at < differences.length; at += 1) {
    const own = differences[at]!;
    if (own < LEAST_CUT || histogramChanges[at]! < LEAST_HISTOGRAM_CHANGE) continue;
    // A flash changes the picture twice, and leaves the scene as it was.
    const isFlash = [-2, -1, 1, 2].some((step) => (differences[at + step] ?? 0) > own / 2);
    if (!isFlash && own > CUT_FACTOR * usualChange(differences, at)) cuts.push(at);
  }
  return cuts;
}

/** The middle one of the changes around; a frame that is shown twice says nothing of how much moves. */
function usualChange(differences: readonly number[], at: number): number {
  const from = Math.max(0, at - CUT_REACH);
  const around = differences
    .slice(from, at + CUT_REACH + 1)
    .filter((change, i) => from + i !== at && change > 0)
    .sort((a, b) => a - b);
  return around[Math.floor(around.length / 2)] ?? 0;
}

/** How sharp a grey picture of QUALITY_WIDTH × QUALITY_HEIGHT is: mean strength of its edges' edges. */
export function sharpness(grey: Uint8Array): number {
  let sum = 0;
  for (let y = 1; y < QUALITY_HEIGHT - 1; y += 1) {
    for (let x = 1; x < QUALITY_WIDTH - 1; x += 1) {
      const at = y * QUALITY_WIDTH + x;
      const edge =
        4 * grey[at]! -
        grey[at - 1]! -
        grey[at + 1]! -
        grey[at - QUALITY_WIDTH]! -
        grey[at + QUALITY_WIDTH]!;
      sum += Math.abs(edge);
    }
  }
  return rounded(sum / ((QUALITY_WIDTH - 2) * (QUALITY_HEIGHT - 2)));
}

/** Loudness in decibels below full scale, for each step, of samples from -1 to 1; -90 is silence. */
export function stepLoudness(sums: readonly number[], counts: readonly number[]): number[] {
  return sums.map((sum, i) => {
    const power = sum / Math.max(1, counts[i] ?? 0);
    return Math.round(Math.max(-90, 10 * Math.log10(Math.max(power, 1e-9))) * 10) / 10;
  });
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
