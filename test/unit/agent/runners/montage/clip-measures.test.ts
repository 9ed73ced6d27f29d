import { describe, expect, test } from 'vitest';
import {
  FrameMeter,
  QUALITY_HEIGHT,
  QUALITY_WIDTH,
  sceneCuts,
  sharpness,
  stepLoudness,
} from '../../../../../agent/runners/montage/clip-measures.ts';
import { THUMB_BYTES } from '../../../../../agent/runners/film/picture-likeness.ts';

const THUMB_WIDTH = 32;

/** Stripes of a scene's own width, moved by so many pixels. */
function stripes(scene: number, moved: number): Uint8Array {
  return Uint8Array.from({ length: THUMB_BYTES }, (_, i) => {
    const x = (i % THUMB_WIDTH) + moved;
    return 40 + 50 * scene + 30 * Math.sin((2 * Math.PI * x) / (6 + 4 * scene));
  });
}

test('changes of scene are found among pictures that move, be some shown twice', () => {
  const meter = new FrameMeter(25);
  for (let frame = 0; frame < 150; frame += 1) {
    const scene = Math.floor(frame / 50);
    const shown = frame - (frame % 2);
    meter.add(stripes(scene, 0.3 * shown));
  }
  const { frames, cuts, motion, brightness } = meter.finish();
  expect(frames).toBe(150);
  expect(cuts).toEqual([50, 100]);
  expect(motion.length).toBe(12);
  expect(brightness[0]).toBeLessThan(brightness[11]!);
});

test('a fast pan is no change of scene', () => {
  const meter = new FrameMeter(25);
  for (let frame = 0; frame < 75; frame += 1) meter.add(stripes(1, 2 * frame));
  expect(meter.finish().cuts).toEqual([]);
});

test('a still picture moves by nothing, one that moves by something', () => {
  const still = new FrameMeter(25);
  const moving = new FrameMeter(25);
  for (let frame = 0; frame < 25; frame += 1) {
    still.add(stripes(1, 0));
    moving.add(stripes(1, frame));
  }
  expect(still.finish().motion).toEqual([0, 0]);
  expect(moving.finish().motion[1]).toBeGreaterThan(10);
});

test('a flash is no change of scene', () => {
  const differences = [0, 1, 1, 1, 80, 79, 1, 1, 1, 1, 1];
  expect(
    sceneCuts(
      differences,
      differences.map(() => 0.5),
    ),
  ).toEqual([]);
});

describe('sharpness', () => {
  const picture = (of: (x: number, y: number) => number): Uint8Array =>
    Uint8Array.from({ length: QUALITY_WIDTH * QUALITY_HEIGHT }, (_, i) =>
      of(i % QUALITY_WIDTH, Math.floor(i / QUALITY_WIDTH)),
    );

  test('edges count, slopes do not', () => {
    const sharp = sharpness(picture((x) => (Math.floor(x / 8) % 2 === 0 ? 40 : 200)));
    const soft = sharpness(picture((x) => 120 + 80 * Math.sin((Math.PI * x) / 8)));
    const slope = sharpness(picture((x, y) => x + y));
    expect(sharp).toBeGreaterThan(2 * soft);
    expect(slope).toBe(0);
  });
});

test('loudness is in decibels below full scale', () => {
  expect(stepLoudness([100, 1, 0], [100, 100, 100])).toEqual([0, -20, -90]);
});
