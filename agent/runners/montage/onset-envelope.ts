/**
 * How strongly something begins in the music at each moment: spectral flux over bands that widen as hearing
 * does. Samples are taken as they come, so that a long piece is never in memory. Pure.
 */
import { Spectrum } from './fourier.ts';

/** Samples a second of the music that is looked at: drums and voices are below 11 kHz. */
export const MUSIC_SAMPLE_RATE = 22_050;

const WINDOW = 1024;
/** Samples between two values: 11.6 ms. */
const HOP = 256;
const BANDS = 40;
const LOWEST_HZ = 30;

/** Values a second of the envelope. */
export const ENVELOPE_RATE = MUSIC_SAMPLE_RATE / HOP;

/** An onset shows when its window's middle comes near; by how much it shows early, in seconds. */
const SHOWS_EARLY_SECONDS = 0.0095;

/** When value `index` of an envelope is, in seconds; `index` may lie between two. */
export function envelopeSeconds(index: number): number {
  return index / ENVELOPE_RATE + SHOWS_EARLY_SECONDS;
}

export class OnsetEnvelope {
  readonly #spectrum = new Spectrum(WINDOW);
  readonly #magnitudes = new Float64Array(WINDOW / 2 + 1);
  readonly #edges = bandEdges();
  #before: Float64Array | undefined;
  /** Begins with half a window of silence, so that value 0 is centred on the first sample. */
  #samples = new Float32Array(WINDOW / 2);
  readonly #flux: number[] = [];
  readonly #loudness: number[] = [];

  /** Mono, from -1 to 1. */
  add(samples: Float32Array): void {
    const held = new Float32Array(this.#samples.length + samples.length);
    held.set(this.#samples);
    held.set(samples, this.#samples.length);
    let from = 0;
    for (; from + WINDOW <= held.length; from += HOP) this.#look(held, from);
    this.#samples = held.slice(from);
  }

  /** Ends the music; answers the envelope, and the loudness (RMS) at the same moments. */
  finish(): { readonly flux: Float64Array; readonly loudness: Float64Array } {
    for (let from = 0; from + WINDOW / 2 <= this.#samples.length; from += HOP) {
      this.#look(this.#samples, from);
    }
    return { flux: lessItsMean(this.#flux), loudness: Float64Array.from(this.#loudness) };
  }

  #look(samples: Float32Array, from: number): void {
    this.#spectrum.magnitudes(samples, from, this.#magnitudes);
    const bands = new Float64Array(BANDS);
    for (let band = 0; band < BANDS; band += 1) {
      const [first, last] = [this.#edges[band]!, this.#edges[band + 1]!];
      let sum = 0;
      for (let bin = first; bin < last; bin += 1) sum += this.#magnitudes[bin]!;
      // Compressed as hearing compresses, with a floor so that noise below it is nothing.
      bands[band] = Math.log1p(20 * (sum / (last - first)));
    }
    let rise = 0;
    if (this.#before !== undefined) {
      for (let band = 0; band < BANDS; band += 1) {
        rise += Math.max(0, bands[band]! - this.#before[band]!);
      }
    }
    this.#before = bands;
    this.#flux.push(rise / BANDS);
    let power = 0;
    for (let i = 0; i < WINDOW; i += 1) power += (samples[from + i] ?? 0) ** 2;
    this.#loudness.push(Math.sqrt(power / WINDOW));
  }
}

/** First bins of the bands, and the end of the last: by equal steps of pitch, each at least one bin. */
function bandEdges(): number[] {
  const highest = WINDOW / 2;
  const octaves = Math.log2(MUSIC_SAMPLE_RATE / 2 / LOWEST_HZ);
  const edges: number[] = [];
  for (let i = 0; i <= BANDS; i += 1) {
    const hz = LOWEST_HZ * 2 ** ((octaves * i) / BANDS);
    const bin = Math.round((hz * WINDOW) / MUSIC_SAMPLE_RATE);
    edges.push(Math.min(highest - BANDS + i, Math.max(bin, (edges.at(-1) ?? 0) + 1)));
  }
  return edges;
}

/** What stands out of the second around it; steady noise does not. */
function lessItsMean(flux: readonly number[]): Float64Array {
  const reach = Math.round(ENVELOPE_RATE / 2);
  const sums = new Float64Array(flux.length + 1);
  for (let i = 0; i < flux.length; i += 1) sums[i + 1] = sums[i]! + flux[i]!;
  return Float64Array.from(flux, (value, i) => {
    const from = Math.max(0, i - reach);
    const until = Math.min(flux.length, i + reach + 1);
    return Math.max(0, value - (sums[until]! - sums[from]!) / (until - from));
  });
}
