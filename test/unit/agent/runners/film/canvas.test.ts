import { describe, expect, test } from 'vitest';
import {
  asYuv4Mpeg,
  meanGrey,
  newCanvas,
  place,
  textSize,
  writeText,
} from '../../../../../agent/runners/film/canvas.ts';

const grey = (width: number, height: number, level: number) => {
  const tile = newCanvas(width, height);
  tile.planes.fill(level, 0, width * height);
  return tile;
};

describe('a picture put together of others', () => {
  test('a tile lies where it was put, in each plane', () => {
    const canvas = newCanvas(4, 4);
    place(canvas, grey(2, 2, 200), 2, 1);
    expect([...canvas.planes.subarray(0, 16)]).toEqual(
      [
        [0, 0, 0, 0],
        [0, 0, 200, 200],
        [0, 0, 200, 200],
        [0, 0, 0, 0],
      ].flat(),
    );
    expect(new Set(canvas.planes.subarray(16))).toEqual(new Set([128]));
    expect(meanGrey(canvas)).toBe(50);
  });

  test('one that would not fit is refused', () => {
    expect(() => place(newCanvas(4, 4), grey(2, 2, 1), 3, 0)).toThrow(RangeError);
  });

  test('digits are white on a dark box, and stay in the picture', () => {
    const canvas = newCanvas(60, 20);
    writeText(canvas, '1:7', 2, 2, 1);
    const { width, height } = textSize('1:7', 1);
    expect([width, height]).toEqual([21, 11]);
    const rows = Array.from({ length: 7 }, (_, row) =>
      Array.from({ length: 17 }, (_unused, column) =>
        canvas.planes[(4 + row) * 60 + 4 + column] === 255 ? '#' : '.',
      ).join(''),
    );
    expect(rows[6]).toBe('.###.........#...');
    expect(rows[1]).toBe('.##.....#.......#');
    writeText(canvas, '00:00', 50, 15, 2);
    expect(canvas.planes).toHaveLength(60 * 20 * 3);
  });

  test('becomes a film of one frame', () => {
    const bytes = Buffer.from(asYuv4Mpeg(newCanvas(4, 2)));
    const head = 'YUV4MPEG2 W4 H2 F1:1 Ip A1:1 C444 XCOLORRANGE=FULL\nFRAME\n';
    expect(bytes.subarray(0, head.length).toString()).toBe(head);
    expect(bytes).toHaveLength(head.length + 24);
  });
});
