import fc from 'fast-check';
import { expect, test } from 'vitest';
import { smallerRoom, tilingOf } from '../../../../agent/models/tiles.ts';

const side = fc.integer({ min: 1, max: 900 });

test('whatever the picture: each pixel is kept once, and no tile keeps what its halo reaches', () => {
  fc.assert(
    fc.property(
      side,
      side,
      fc.integer({ min: 0, max: 40 }),
      fc.constantFrom(1, 2, 8, 32),
      fc.integer({ min: 1, max: 400_000 }),
      (width, height, halo, multiple, room) => {
        const tiling = tilingOf({ width, height }, { halo, multiple }, room);
        if (tiling === undefined) return;
        const { tile, padded, columns, rows } = tiling;
        expect(tile.width * tile.height).toBeLessThanOrEqual(room);
        for (const [spans, length, own] of [
          [columns, padded.width, tile.width],
          [rows, padded.height, tile.height],
        ] as const) {
          let next = 0;
          for (const { at, keepFrom, keepUntil } of spans) {
            expect(keepFrom).toBe(next);
            expect(at % multiple).toBe(0);
            expect(at + own).toBeLessThanOrEqual(length);
            // At the picture's own edge the model sees the edge.
            const before = at > 0 ? keepFrom - at : Infinity;
            expect(before).toBeGreaterThanOrEqual(halo);
            const behind = at + own < length ? at + own - keepUntil : Infinity;
            expect(behind).toBeGreaterThanOrEqual(halo);
            next = keepUntil;
          }
          expect(next).toBe(length);
        }
      },
    ),
  );
});

test('what has room goes through whole; half the room makes more tiles, until there is too little', () => {
  const picture = { width: 640, height: 480 };
  const rules = { halo: 18, multiple: 1 };
  let tiling = tilingOf(picture, rules, 640 * 480);
  expect(tiling?.columns.length).toBe(1);
  expect(tiling?.rows.length).toBe(1);
  const counts: number[] = [];
  while (tiling !== undefined) {
    counts.push(tiling.columns.length * tiling.rows.length);
    tiling = tilingOf(picture, rules, smallerRoom(tiling));
  }
  expect(counts.length).toBeGreaterThan(4);
  expect(counts).toEqual([...new Set(counts)].toSorted((a, b) => a - b));
});
