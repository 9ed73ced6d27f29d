import { expect, test } from 'vitest';
import type { PacketRow } from '../../../../../agent/runners/film/frame-index.ts';
import {
  frameWork,
  keyframesOf,
  likelyScenes,
} from '../../../../../agent/runners/film/frame-work.ts';

const packet = (pts: number, sizeBytes: number, key = false): PacketRow => ({
  pts,
  duration: 1,
  sizeBytes,
  key,
  discarded: false,
});

test('frames of more bytes are more work, whichever packet is the key', () => {
  const packets = [
    packet(0, 900, true),
    packet(2, 100),
    packet(1, 200),
    packet(3, 3000, true),
    packet(5, 3000),
    packet(4, 3000),
  ];
  const times = [0, 1, 2, 3, 4, 5];
  const work = frameWork(packets, times);
  expect(work[0]).toBe(work[2]);
  expect(work[3]! / work[0]!).toBeGreaterThan(2);
  expect(work.reduce((sum, each) => sum + each, 0)).toBeCloseTo(6);
  expect(keyframesOf(packets, times)).toEqual([0, 3]);
});

test('a film without bytes is even work', () => {
  expect([...frameWork([packet(0, 0, true), packet(1, 0)], [0, 1])]).toEqual([1, 1]);
});

test('what is not shown is no frame', () => {
  const hidden = { ...packet(-1, 500, true), discarded: true };
  expect(keyframesOf([hidden, packet(0, 10, true)], [0])).toEqual([0]);
});

test('keyframes nearer than usual are scenes; even ones are none', () => {
  expect(likelyScenes([0, 250, 500, 580, 830])).toEqual([580]);
  expect(likelyScenes([0, 50, 100, 150])).toEqual([]);
  expect(likelyScenes([0])).toEqual([]);
});
