/**
 * Beats of a piece of music from its onset envelope: the tempo by autocorrelation, then the chain of moments
 * that best joins strong onsets with steady steps, by dynamic programming. Pure: the same in, the same out.
 */
import { ENVELOPE_RATE, envelopeSeconds } from './onset-envelope.ts';

export interface Beats {
  readonly tempoBpm: number;
  /** 0 to 1: how much of the envelope comes back after one beat. */
  readonly confidence: number;
  /** Seconds from the music's start, ascending. */
  readonly seconds: readonly number[];
  /** Index, 0 to 3, of the beat that each bar of four most likely begins with. */
  readonly downbeat: number;
}

const SLOWEST_BPM = 55;
const FASTEST_BPM = 215;
/** People tap along at this rate rather than at half or double of it. */
const USUAL_BPM = 120;
const USUAL_SPREAD_OCTAVES = 0.9;
/** How much a step of another length than the tempo's costs. */
const TIGHTNESS = 120;
/** Below it there is no beat to speak of, and a steady count at the usual rate is as good. */
const LEAST_CONFIDENCE = 0.15;

/** `seconds`: how long the music is. */
export function trackBeats(flux: Float64Array, seconds: number): Beats {
  const onsets = normalized(flux);
  const tempo = tempoOf(onsets);
  if (tempo === undefined || tempo.confidence < LEAST_CONFIDENCE) return steadyCount(seconds);
  const period = (60 * ENVELOPE_RATE) / tempo.bpm;
  const chain = bestChain(onsets, period);
  const beats = chain
    .map((index) => envelopeSeconds(peakNear(onsets, index)))
    .filter((at) => at >= 0 && at <= seconds);
  if (beats.length < 2) return steadyCount(seconds);
  // The mean step says the tempo closer than the autocorrelation can.
  const step = (beats.at(-1)! - beats[0]!) / (beats.length - 1);
  const before = countBack(beats[0]!, step);
  return {
    tempoBpm: rounded(60 / step, 100),
    confidence: rounded(tempo.confidence, 1000),
    seconds: [...before, ...beats, ...countOn(beats.at(-1)!, step, seconds)].map((at) =>
      rounded(at, 10_000),
    ),
    downbeat: (downbeatOf(onsets, chain) + before.length) % 4,
  };
}

function steadyCount(seconds: number): Beats {
  const step = 60 / USUAL_BPM;
  const count = Math.max(1, Math.floor(seconds / step) + 1);
  return {
    tempoBpm: USUAL_BPM,
    confidence: 0,
    seconds: Array.from({ length: count }, (_, i) => rounded(i * step, 10_000)),
    downbeat: 0,
  };
}

function normalized(flux: Float64Array): Float64Array {
  let power = 0;
  for (const value of flux) power += value * value;
  const deviation = Math.sqrt(power / Math.max(1, flux.length));
  return deviation === 0 ? flux : flux.map((value) => value / deviation);
}

function tempoOf(
  onsets: Float64Array,
): { readonly bpm: number; readonly confidence: number } | undefined {
  const shortest = Math.floor((60 * ENVELOPE_RATE) / FASTEST_BPM);
  const longest = Math.ceil((60 * ENVELOPE_RATE) / SLOWEST_BPM);
  if (onsets.length < 2 * longest) return undefined;
  // Onsets a value early or late still meet.
  const smooth = aroundZero(smoothed(onsets));
  const whole = correlation(smooth, 0);
  if (whole === 0) return undefined;
  const like: number[] = [];
  for (let lag = 0; lag <= 2 * longest + 1; lag += 1) {
    like.push(lag < shortest - 1 ? 0 : correlation(smooth, lag) / whole);
  }
  let best = shortest;
  let bestScore = -Infinity;
  for (let lag = shortest; lag <= longest; lag += 1) {
    const octaves = Math.log2((60 * ENVELOPE_RATE) / lag / USUAL_BPM) / USUAL_SPREAD_OCTAVES;
    // A beat comes back after two of its steps as well.
    const score = (like[lag]! + 0.5 * like[2 * lag]!) * Math.exp(-0.5 * octaves * octaves);
    if (score > bestScore) [best, bestScore] = [lag, score];
  }
  const between = parabolaPeak(like[best - 1]!, like[best]!, like[best + 1]!);
  return {
    bpm: (60 * ENVELOPE_RATE) / (best + between),
    confidence: Math.max(0, Math.min(1, like[best]!)),
  };
}

function smoothed(values: Float64Array): Float64Array {
  return values.map(
    (value, i) => 0.5 * value + 0.25 * ((values[i - 1] ?? 0) + (values[i + 1] ?? 0)),
  );
}

/** Without its mean: what is like itself at any distance, as noise is, has no tempo. */
function aroundZero(values: Float64Array): Float64Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return values.map((value) => value - mean);
}

/** Mean of products with itself, `lag` later. */
function correlation(values: Float64Array, lag: number): number {
  let sum = 0;
  for (let i = lag; i < values.length; i += 1) sum += values[i]! * values[i - lag]!;
  return sum / Math.max(1, values.length - lag);
}

/** Where between -0.5 and 0.5 the peak of a parabola through three equidistant values is. */
function parabolaPeak(before: number, at: number, after: number): number {
  const bend = before - 2 * at + after;
  return bend >= 0 ? 0 : Math.max(-0.5, Math.min(0.5, (0.5 * (before - after)) / bend));
}

/** Indices of the beats. */
function bestChain(onsets: Float64Array, period: number): number[] {
  const count = onsets.length;
  const score = new Float64Array(count);
  const previous = new Int32Array(count).fill(-1);
  const nearest = Math.round(period / 2);
  const farthest = Math.round(period * 2);
  const costs = Float64Array.from({ length: farthest + 1 }, (_, step) =>
    step < nearest || step === 0 ? Infinity : TIGHTNESS * Math.log(step / period) ** 2,
  );
  for (let i = 0; i < count; i += 1) {
    let best = 0;
    for (let step = nearest; step <= farthest && step <= i; step += 1) {
      const candidate = score[i - step]! - costs[step]!;
      if (candidate > best) {
        best = candidate;
        previous[i] = i - step;
      }
    }
    score[i] = best + onsets[i]!;
  }
  let last = count - 1;
  for (let i = Math.max(0, count - farthest); i < count; i += 1) {
    if (score[i]! > score[last]!) last = i;
  }
  const chain: number[] = [];
  for (let at = last; at >= 0; at = previous[at]!) chain.push(at);
  return trimmed(chain.reverse(), onsets);
}

/** Without beats at the ends that stand on silence. */
function trimmed(chain: readonly number[], onsets: Float64Array): number[] {
  const strength = chain.map((at) =>
    Math.max(onsets[at - 1] ?? 0, onsets[at]!, onsets[at + 1] ?? 0),
  );
  const enough = 0.25 * (strength.reduce((sum, each) => sum + each, 0) / strength.length);
  const first = strength.findIndex((each) => each >= enough);
  const last = strength.findLastIndex((each) => each >= enough);
  return chain.slice(first, last + 1);
}

/** An index between values, where the onset next to a beat is strongest. */
function peakNear(onsets: Float64Array, index: number): number {
  let best = index;
  for (const near of [index - 1, index + 1]) {
    if ((onsets[near] ?? 0) > onsets[best]!) best = near;
  }
  return best + parabolaPeak(onsets[best - 1] ?? 0, onsets[best]!, onsets[best + 1] ?? 0);
}

/** The beat goes on to the music's start and end, where it is only felt. */
function countBack(first: number, step: number): number[] {
  const beats: number[] = [];
  for (let at = first - step; at >= 0; at -= step) beats.unshift(at);
  return beats;
}

function countOn(last: number, step: number, seconds: number): number[] {
  const beats: number[] = [];
  for (let at = last + step; at <= seconds; at += step) beats.push(at);
  return beats;
}

function downbeatOf(onsets: Float64Array, chain: readonly number[]): number {
  const strength = [0, 1, 2, 3].map((phase) => {
    const own = chain.filter((_, i) => i % 4 === phase);
    return own.reduce((sum, at) => sum + onsets[at]!, 0) / Math.max(1, own.length);
  });
  return strength.indexOf(Math.max(...strength));
}

function rounded(value: number, unit: number): number {
  return Math.round(value * unit) / unit;
}
