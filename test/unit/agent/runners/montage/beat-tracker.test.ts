/** Beats that are known, because the test made them: found to a frame's length, whatever is between them. */
import { describe, expect, test } from 'vitest';
import { trackBeats, type Beats } from '../../../../../agent/runners/montage/beat-tracker.ts';
import {
  MUSIC_SAMPLE_RATE,
  OnsetEnvelope,
} from '../../../../../agent/runners/montage/onset-envelope.ts';

const SECONDS = 20;
/** One frame at 30 a second. */
const FRAME_SECONDS = 1 / 30;

/** A small generator of noise, the same for the same seed. */
function noise(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

class Music {
  readonly samples = new Float32Array(SECONDS * MUSIC_SAMPLE_RATE);

  click(at: number, hz: number, loudness: number, lengthSeconds = 0.05): this {
    const from = Math.round(at * MUSIC_SAMPLE_RATE);
    const length = Math.round(lengthSeconds * MUSIC_SAMPLE_RATE);
    for (let i = 0; i < length && from + i < this.samples.length; i += 1) {
      const fall = Math.exp((-5 * i) / length);
      this.samples[from + i]! +=
        loudness * fall * Math.sin((2 * Math.PI * hz * i) / MUSIC_SAMPLE_RATE);
    }
    return this;
  }

  noise(loudness: number, seed = 1): this {
    const next = noise(seed);
    for (let i = 0; i < this.samples.length; i += 1) this.samples[i]! += loudness * next();
    return this;
  }

  beats(): Beats {
    const envelope = new OnsetEnvelope();
    // As it comes from a file, in parts of any length.
    for (let at = 0; at < this.samples.length; at += 10_007) {
      envelope.add(this.samples.subarray(at, at + 10_007));
    }
    return trackBeats(envelope.finish().flux, SECONDS);
  }
}

function clicks(bpm: number, phase = 0.3): number[] {
  const step = 60 / bpm;
  const times: number[] = [];
  for (let at = phase; at < SECONDS; at += step) times.push(at);
  return times;
}

/** The largest distance of a beat that was played from the nearest that was found. */
function worstOffset(played: readonly number[], found: readonly number[]): number {
  return Math.max(...played.map((at) => Math.min(...found.map((beat) => Math.abs(beat - at)))));
}

describe('click tracks', () => {
  test.each([62, 75, 90, 100, 120, 128, 140, 174])('%i beats a minute', (bpm) => {
    const music = new Music();
    const played = clicks(bpm);
    for (const at of played) music.click(at, 1000, 0.8);
    const found = music.beats();
    expect(Math.abs(found.tempoBpm - bpm)).toBeLessThan(0.5);
    expect(worstOffset(played, found.seconds)).toBeLessThan(FRAME_SECONDS);
    // As many as were played, and one more where the count goes back to the start.
    expect(found.seconds.length - played.length).toBeGreaterThanOrEqual(0);
    expect(found.seconds.length - played.length).toBeLessThanOrEqual(1);
  });

  test('what is too quick to tap along to is counted by halves', () => {
    const music = new Music();
    const played = clicks(200);
    for (const at of played) music.click(at, 1000, 0.8);
    const { tempoBpm, seconds } = music.beats();
    expect(Math.abs(tempoBpm - 100)).toBeLessThan(0.5);
    expect(worstOffset(seconds.slice(1, -1), played)).toBeLessThan(FRAME_SECONDS);
  });

  test('the mean error is far below a frame, so that nothing is early or late as a rule', () => {
    const music = new Music();
    const played = clicks(110);
    for (const at of played) music.click(at, 1000, 0.8);
    const { seconds } = music.beats();
    const errors = played.map((at) => {
      const nearest = seconds.reduce((a, b) => (Math.abs(b - at) < Math.abs(a - at) ? b : a));
      return nearest - at;
    });
    const mean = errors.reduce((sum, each) => sum + each, 0) / errors.length;
    expect(Math.abs(mean)).toBeLessThan(0.006);
  });
});

describe('what is between the beats', () => {
  test.each([96, 124])('%i beats a minute with quieter clicks off the beat, and noise', (bpm) => {
    const music = new Music().noise(0.05, bpm);
    const played = clicks(bpm);
    for (const at of played) music.click(at, 90, 0.9, 0.12).click(at, 3000, 0.3);
    for (const at of played) music.click(at + 30 / bpm, 5000, 0.15, 0.03);
    const next = noise(7);
    for (let i = 0; i < 25; i += 1) {
      music.click(((next() + 1) / 2) * (SECONDS - 1), 2000 + 1000 * next(), 0.12);
    }
    const found = music.beats();
    expect(Math.abs(found.tempoBpm - bpm)).toBeLessThan(0.5);
    expect(worstOffset(played, found.seconds)).toBeLessThan(FRAME_SECONDS);
  });

  test('a beat that is left out is felt all the same', () => {
    const music = new Music();
    const played = clicks(120);
    played.forEach((at, i) => i % 8 !== 5 && music.click(at, 1000, 0.8));
    expect(worstOffset(played, music.beats().seconds)).toBeLessThan(FRAME_SECONDS);
  });

  test('a tempo that drifts is followed', () => {
    const music = new Music();
    const played: number[] = [];
    for (let at = 0.3, step = 0.5; at < SECONDS; at += step, step *= 1.002) played.push(at);
    for (const at of played) music.click(at, 1000, 0.8);
    expect(worstOffset(played, music.beats().seconds)).toBeLessThan(FRAME_SECONDS);
  });

  test('the loudest of four begins the bar', () => {
    const music = new Music();
    clicks(120).forEach((at, i) => music.click(at, 1000, i % 4 === 2 ? 0.9 : 0.2));
    const { seconds, downbeat } = music.beats();
    const strong = clicks(120)[2]!;
    const index = seconds.findIndex((at) => Math.abs(at - strong) < FRAME_SECONDS);
    expect(index % 4).toBe(downbeat);
  });
});

describe('no beat at all', () => {
  const steady = (beats: Beats): void => {
    expect(beats.confidence).toBe(0);
    expect(beats.seconds.slice(0, 3)).toEqual([0, 0.5, 1]);
  };

  test('silence gets a steady count', () => steady(new Music().beats()));

  test.each([1, 2, 3])('noise gets a steady count (%i)', (seed) =>
    steady(new Music().noise(0.5, seed).beats()),
  );

  test('so does what is too short to say', () => {
    expect(trackBeats(new Float64Array(20), 0.2)).toEqual({
      tempoBpm: 120,
      confidence: 0,
      seconds: [0],
      downbeat: 0,
    });
  });
});

test('the same music has the same beats', () => {
  const make = (): Beats => {
    const music = new Music().noise(0.1, 3);
    for (const at of clicks(111)) music.click(at, 700, 0.5);
    return music.beats();
  };
  expect(JSON.stringify(make())).toBe(JSON.stringify(make()));
});
