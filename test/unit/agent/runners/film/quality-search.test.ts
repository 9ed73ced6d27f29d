import { describe, expect, test } from 'vitest';
import {
  chosenQuality,
  nextQuality,
  sampleStarts,
} from '../../../../../agent/runners/film/quality-search.ts';

/** Searches where likeness is this function of the quality. */
function search(ssimAt: (crf: number) => number, target: number) {
  const range = { from: 8, to: 63 };
  const probes: { crf: number; ssim: number }[] = [];
  for (;;) {
    const crf = nextQuality(probes, target, range);
    if (crf === undefined) return { chosen: chosenQuality(probes, target), probes };
    probes.push({ crf, ssim: ssimAt(crf) });
  }
}

describe('the search for a quality', () => {
  const falling = (crf: number): number => 1 - crf / 1000;

  test.each([8, 9, 20, 31, 62, 63])('finds the last that is good enough: %i', (crf) => {
    const { chosen, probes } = search(falling, falling(crf));
    expect(chosen?.crf).toBe(crf);
    expect(probes.length).toBeLessThanOrEqual(6);
  });

  test('none is good enough: the best', () => {
    expect(search(falling, 0.9999).chosen?.crf).toBe(8);
  });

  test('a film that is alike at any quality takes the fewest bits', () => {
    expect(search(() => 1, 0.97).chosen?.crf).toBe(63);
  });

  test('a bend in the curve does not make it go on for ever', () => {
    const { probes } = search((crf) => falling(crf) + (crf % 2) * 0.005, 0.97);
    expect(probes.length).toBeLessThanOrEqual(6);
  });
});

test('samples lie within the film, wherever it ends', () => {
  expect(sampleStarts(100, 2, 5)).toEqual([9.8, 29.4, 49, 68.6, 88.2]);
  expect(sampleStarts(5, 2, 5)).toEqual([1.5]);
  expect(sampleStarts(1, 2, 5)).toEqual([0]);
});
