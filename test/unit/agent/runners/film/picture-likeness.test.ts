import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compareThumbs, THUMB_BYTES } from '../../../../../agent/runners/film/picture-likeness.ts';
import { compareThumbFiles } from '../../../../../agent/runners/film/thumb-files.ts';

/** A bright bar that moves by one column with each frame, and some noise. */
function thumbs(frames: readonly number[], noise = 0): Uint8Array {
  const bytes = new Uint8Array(frames.length * THUMB_BYTES);
  for (const [i, frame] of frames.entries()) {
    for (let at = 0; at < THUMB_BYTES; at += 1) {
      const lit = at % 32 === frame % 32 ? 200 : 40;
      bytes[i * THUMB_BYTES + at] = lit + ((at * 7 + i) % 3) * noise;
    }
  }
  return bytes;
}

describe('likeness of frames', () => {
  const source = thumbs([0, 1, 2, 3, 4, 5]);

  test('an encoder’s noise is no fault', () => {
    const likeness = compareThumbs(source, thumbs([0, 1, 2, 3, 4, 5], 3));
    expect(likeness.fault).toBeUndefined();
    expect(likeness.meanDifference).toBeGreaterThan(0);
  });

  test('a doubled frame shows at the first that is late', () => {
    expect(compareThumbs(source, thumbs([0, 1, 1, 2, 3, 4])).fault).toBe(
      'frame 2 shows what frame 1 should',
    );
  });

  test('a missing frame shows at the first that is early', () => {
    expect(compareThumbs(source, thumbs([0, 1, 3, 4, 5, 5])).fault).toBe(
      'frame 2 shows what frame 3 should',
    );
  });

  test('another picture is another picture', () => {
    const grey = new Uint8Array(source.length).fill(128);
    expect(compareThumbs(source, grey).fault).toBe('frame 0 shows another picture');
  });

  test('a still is like itself', () => {
    expect(compareThumbs(thumbs([4, 4, 4]), thumbs([4, 4, 4], 2)).fault).toBeUndefined();
  });
});

describe('frames of a film that are not its source’s', () => {
  const source = thumbs([0, 1, 2, 3]);
  const compare = (frames: readonly number[], from: readonly number[], part: readonly number[]) =>
    compareThumbs(source, thumbs(frames, 2), {
      startsAt: 0,
      sourceStartsAt: 0,
      from: 0,
      until: frames.length,
      shown: { from, part },
    });

  test('each is held against the frame that it shows', () => {
    const from = [0, 0, 2, 3, 3];
    const part = [0, 0, 0, 0, 0];
    expect(compare([0, 0, 2, 3, 3], from, part).fault).toBeUndefined();
    expect(compare([0, 1, 2, 3, 3], from, part).fault).toBe('frame 1 shows what frame 1 should');
  });

  test('where pictures are shown again, an encoder may be late now and then, but not always', () => {
    const from = Array.from({ length: 60 }, (_, i) => Math.floor(i / 2));
    const part = from.map(() => 0);
    const stretch = { startsAt: 0, sourceStartsAt: 0, from: 0, until: 60, shown: { from, part } };
    const pictures = thumbs(Array.from({ length: 30 }, (_, i) => i));
    const once = from.map((picture, i) => (i === 20 ? picture - 1 : picture));
    expect(compareThumbs(pictures, thumbs(once, 2), stretch).fault).toBeUndefined();
    const always = from.map((picture, i) => (i % 2 === 0 ? Math.max(0, picture - 1) : picture));
    expect(compareThumbs(pictures, thumbs(always, 2), stretch).fault).toMatch(/shows what frame/);
  });

  test('one between two may show either, or a mixture, and nothing else', () => {
    const part = [0, 0.5, 0];
    expect(compare([0, 0, 1], [0, 0, 1], part).fault).toBeUndefined();
    expect(compare([0, 1, 1], [0, 0, 1], part).fault).toBeUndefined();
    const grey = thumbs([0, 1, 1]);
    grey.fill(255, THUMB_BYTES, 2 * THUMB_BYTES);
    const stretch = { startsAt: 0, sourceStartsAt: 0, from: 0, until: 3 };
    const shown = { from: [0, 0, 1], part };
    expect(compareThumbs(source, grey, { ...stretch, shown }).fault).toBe(
      'frame 1 shows another picture',
    );
  });
});

describe('stretch by stretch', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'furrow-thumbs-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test.each([1, 2, 3, 7, 100])('of %i frames, it finds what one look finds', async (stretch) => {
    const source = thumbs([0, 1, 2, 3, 4, 5, 6]);
    const [one, two] = [join(directory, 'one'), join(directory, 'two')];
    await writeFile(one, source);
    for (const frames of [
      [0, 1, 2, 3, 4, 5, 6],
      [0, 1, 1, 2, 3, 4, 5],
      [0, 1, 3, 4, 5, 6, 6],
      [0, 1, 2, 3, 4, 6, 5],
      [0, 1, 2, 20, 4, 5, 6],
    ]) {
      const encoded = thumbs(frames, 2);
      await writeFile(two, encoded);
      const whole = compareThumbs(source, encoded);
      const found = await compareThumbFiles(
        one,
        two,
        { sourceFrames: 7, frames: frames.length },
        stretch,
      );
      expect(found).toEqual({
        ...whole,
        meanDifference: expect.closeTo(whole.meanDifference, 9) as number,
      });
    }
  });
});
