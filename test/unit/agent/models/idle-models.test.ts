import { expect, test } from 'vitest';
import {
  IDLE_LIMIT_MS,
  type IdleModel,
  inTheWay,
  takeFrom,
  untilTooLong,
} from '../../../../agent/models/idle-models.ts';

const GIB = 2 ** 30;

function idle(key: string, idleSinceMs: number, more: Partial<IdleModel> = {}): IdleModel {
  return { key, idleSinceMs, gpuIds: [], residentBytes: GIB, ...more };
}

test('a unit takes the warmest of its model', () => {
  const models = [idle('a', 1), idle('a', 3), idle('b', 2)];
  expect(takeFrom(models, 'a')).toBe(models[1]);
  expect(takeFrom(models, 'c')).toBeUndefined();
});

test('nothing goes while there is room; then the longest idle go, and no more than must', () => {
  const models = [idle('a', 3), idle('b', 1), idle('c', 2)];
  expect(inTheWay(models, { ramBytes: 4 * GIB, gpuIds: [] }, 5 * GIB)).toEqual([]);
  const going = inTheWay(models, { ramBytes: 4 * GIB, gpuIds: [] }, 2.5 * GIB);
  expect(going).toEqual([models[1], models[2]]);
});

test('all go where nobody knows what is free, but the one that the unit itself takes', () => {
  const models = [idle('a', 3), idle('b', 1)];
  expect(inTheWay(models, { ramBytes: 0, gpuIds: [], key: 'a' }, null)).toEqual([models[1]]);
});

test('a GPU that is given to a unit is left by all others', () => {
  const models = [idle('a', 1, { gpuIds: ['g0'] }), idle('b', 2, { gpuIds: ['g1'] })];
  expect(inTheWay(models, { ramBytes: 0, gpuIds: ['g1'] }, 9 * GIB)).toEqual([models[1]]);
});

test('none stays for ever', () => {
  expect(untilTooLong([], 0)).toBeUndefined();
  expect(untilTooLong([idle('a', 1_000), idle('b', 400)], 500)).toBe(IDLE_LIMIT_MS - 100);
  expect(untilTooLong([idle('a', 0)], IDLE_LIMIT_MS + 5)).toBe(0);
});
