import { expect, test } from 'vitest';
import {
  framesOf,
  parseScene,
  rateOf,
  unitsOf,
} from '../../../../../agent/runners/render/scene-facts.ts';

const SCENE = {
  name: 'Scene',
  first: 1,
  last: 10,
  step: 3,
  frameRate: [24, 1] as [number, number],
  engine: 'CYCLES',
  width: 160,
  height: 90,
  hasBorder: false,
};

test('frames are those of the file, or the wanted ones, each once and in order', () => {
  expect(framesOf([], SCENE)).toEqual([1, 4, 7, 10]);
  const ranges = [
    { first: 5, last: 9, step: 2 },
    { first: 2, last: 2, step: 0 },
    { first: 7, last: 8, step: 1 },
  ];
  expect(framesOf(ranges, SCENE)).toEqual([2, 5, 7, 8, 9]);
});

test('too many frames, none, and frames below 0 are refused', () => {
  expect(() => framesOf([], { ...SCENE, last: 0 })).toThrow('from 1 to 0: there is none');
  expect(() => framesOf([], { ...SCENE, first: -5 })).toThrow('frame -5 is below 0');
  expect(() => framesOf([{ first: 0, last: 1_000_000, step: 1 }], SCENE)).toThrow('in parts');
});

test('units hold what was wanted, and more where they would be too many', () => {
  expect(unitsOf([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
  expect(unitsOf([1, 2], 0)).toEqual([[1], [2]]);
  const many = unitsOf(
    Array.from({ length: 20_000 }, (_, i) => i),
    1,
  );
  expect(many.length).toBeLessThanOrEqual(3900);
  expect(many.flat()).toHaveLength(20_000);
});

test.each([
  [[24, 1], '24/1'],
  [[30, 1.001], '30000/1001'],
  [[60, 1.001], '60000/1001'],
  [[25, 2], '25/2'],
] as const)('%j frames a second are %s', (rate, expected) => {
  expect(rateOf(rate)).toBe(expected);
});

test('a scene that the script did not print is none', () => {
  expect(parseScene(JSON.stringify(SCENE))).toEqual(SCENE);
  expect(parseScene('{"name":"x"}')).toBeUndefined();
  expect(parseScene('nonsense')).toBeUndefined();
});
