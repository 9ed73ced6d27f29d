import { describe, expect, test } from 'vitest';
import {
  clipPlaces,
  frameTicks,
  letterbox,
  steadyRate,
} from '../../../../../agent/runners/film/clip-form.ts';

const FORM = {
  width: 640,
  height: 360,
  rateNum: 30_000,
  rateDen: 1001,
  sampleRate: 48_000,
  channels: 2,
};

describe('the form of a joined film', () => {
  test.each([
    ['25/1', [25, 1]],
    ['30000/1001', [30_000, 1001]],
    ['2997/100', [30_000, 1001]],
    // A phone’s uneven frames.
    ['89910/3011', [30_000, 1001]],
    ['25/2', [25, 2]],
    ['1000/1', [240, 1]],
    ['1/7', [1, 1]],
  ])('a rate of %s becomes %j', (rate, steady) => {
    expect(steadyRate(rate)).toEqual(steady);
  });

  test('frames last whole ticks', () => {
    expect(frameTicks(FORM)).toEqual({ den: 30_000, step: 1001 });
    expect(frameTicks({ rateNum: 25, rateDen: 1 })).toEqual({ den: 10_000, step: 400 });
  });

  test('sound is as long as the frames, to the sample, over any number of clips', () => {
    const places = clipPlaces(
      Array.from({ length: 500 }, (_, i) => 0.2 + (i % 7) * 0.123),
      FORM,
    );
    const frames = places.reduce((sum, place) => sum + place.frames, 0);
    const samples = places.reduce((sum, place) => sum + place.samples, 0);
    expect(places[10]!.firstFrame).toBe(
      places.slice(0, 10).reduce((sum, place) => sum + place.frames, 0),
    );
    expect(samples).toBe(Math.round((frames * 1001 * 48_000) / 30_000));
  });

  test('a clip of a blink is a frame', () => {
    expect(clipPlaces([0.001], FORM)[0]?.frames).toBe(1);
  });

  test('bars where shapes differ, in the middle, on even pixels', () => {
    expect(letterbox({ width: 1920, height: 1080 }, FORM)).toEqual({
      width: 640,
      height: 360,
      left: 0,
      top: 0,
    });
    expect(letterbox({ width: 720, height: 1280 }, FORM)).toEqual({
      width: 202,
      height: 360,
      left: 218,
      top: 0,
    });
    const wide = letterbox({ width: 1001, height: 99 }, FORM);
    expect(wide.width).toBe(640);
    expect(wide.top % 2).toBe(0);
    expect(wide.top + wide.height).toBeLessThanOrEqual(360);
  });
});
