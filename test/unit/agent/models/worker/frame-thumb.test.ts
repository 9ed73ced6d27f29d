import { describe, expect, test } from 'vitest';
import {
  isSceneCut,
  stepBetween,
  thumbOf,
} from '../../../../../agent/models/worker/frame-thumb.ts';

const SIZE = { width: 160, height: 90 };

/** A frame of rgb24 from a grey level for each pixel. */
function frame(level: (x: number, y: number) => number, { width, height } = SIZE): Uint8Array {
  const bytes = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i += 1) {
    bytes.fill(level(i % width, Math.floor(i / width)), i * 3, i * 3 + 3);
  }
  return bytes;
}

const steps = (...frames: readonly Uint8Array[]) =>
  frames.slice(1).map((next, i) => stepBetween(thumbOf(frames[i]!, SIZE), thumbOf(next, SIZE)));

/** A bright ball on a ramp, at a place. */
const scene = (at: number, tone = 0) =>
  frame((x, y) => ((x - at) ** 2 + (y - 45) ** 2 < 400 ? 230 : x / 2 + tone));
/** Something else: stripes. */
const other = (at: number) => frame((x) => (Math.floor((x + at) / 16) % 2 === 0 ? 200 : 30));
const white = frame(() => 255);

describe('a scene', () => {
  test('that begins anew stands out from the steps around it', () => {
    const [before, here, after] = steps(scene(20), scene(24), other(0), other(2));
    expect(isSceneCut(here!, before, after)).toBe(true);
    expect(isSceneCut(before!, undefined, here)).toBe(false);
    expect(isSceneCut(after!, here, undefined)).toBe(false);
  });

  test('goes on through fast motion, and through a fade', () => {
    const fast = steps(...[0, 30, 60, 90, 120, 150].map((at) => scene(at)));
    const fade = steps(...[0, 20, 40, 60, 80, 100].map((tone) => scene(60, tone)));
    for (const way of [fast, fade]) {
      way.forEach((step, i) => expect(isSceneCut(step, way[i - 1], way[i + 1])).toBe(false));
    }
    expect(Math.max(...fast.map(({ difference }) => difference))).toBeGreaterThan(5);
  });

  test('is broken on both sides of a flash of one frame', () => {
    const [, into, out] = steps(scene(20), scene(21), white, scene(22), scene(23));
    expect(isSceneCut(into!, steps(scene(20), scene(21))[0], out)).toBe(true);
    expect(isSceneCut(out!, into, steps(scene(22), scene(23))[0])).toBe(true);
  });

  test('of still pictures has no cut', () => {
    const [same, again] = steps(scene(5), scene(5), scene(5));
    expect(same).toEqual({ difference: 0, likeness: expect.closeTo(1, 5) as number });
    expect(isSceneCut(same!, undefined, again)).toBe(false);
  });
});

test('pictures smaller than a thumb are looked at as they are', () => {
  const tiny = { width: 3, height: 2 };
  expect(
    [
      ...thumbOf(
        frame((x) => x * 100, tiny),
        tiny,
      ),
    ].map(Math.round),
  ).toEqual([0, 100, 200, 0, 100, 200]);
});
